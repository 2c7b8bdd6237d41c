"""Camera motion: each frame's 2x3 warp from the frame before, from a file or estimated."""
