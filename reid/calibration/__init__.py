"""From distances to the probability of being the same person: fitted, stored, refitted on a video, measured."""
