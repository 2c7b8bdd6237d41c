"""Run folders: what is opened, done, written and told."""
