"""A network for one's own cameras: tracklets, people, training, what was held out, and what tracking gains."""
