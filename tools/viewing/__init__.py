"""The page of a run: what it is told, what it may change, and the server. HTML, CSS and JS: `tools/pages/run_view`."""
