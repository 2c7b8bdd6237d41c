"""What the two evaluation tools have in common with nobody else: features, sections of a report."""
