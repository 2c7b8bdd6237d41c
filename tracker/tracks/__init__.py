"""Live tracks as arrays: state, appearance, how they begin, live and end, who is shown."""
