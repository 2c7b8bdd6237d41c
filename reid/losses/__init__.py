"""What training minimises: a weighted list of terms, ours and pytorch-metric-learning's."""
