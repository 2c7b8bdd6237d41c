"""Where results go: text that grows by a frame, pictures, drawing."""
