"""What became of every detection, and why: recorded, read back, told in words."""
