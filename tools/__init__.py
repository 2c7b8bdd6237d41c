"""Command-line tools: argv in, one library call, exit code out."""
