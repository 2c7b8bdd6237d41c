"""A drawn street scene with known identities."""
