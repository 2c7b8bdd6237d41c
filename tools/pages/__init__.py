"""Static HTML pages, with nothing from elsewhere."""
