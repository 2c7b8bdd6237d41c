"""What scripts score with networks, memories and trackers at hand, which `eval` does not know: vectors, visits, pay."""
