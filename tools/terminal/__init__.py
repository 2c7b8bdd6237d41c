"""What only a terminal needs: exit codes, progress bars, options that tools share."""
