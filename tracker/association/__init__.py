"""Who gets which detection: candidate pairs, costs, stages, gated assignment."""
