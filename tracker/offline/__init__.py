"""After the last frame: link, reconnect, interpolate, smooth, remove what is short."""
