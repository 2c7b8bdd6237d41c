"""The page of a run: what it is told, what it may change, and the server; HTML, CSS and JS are in `tools/pages/run_view`."""
