"""Training: state and steps, augmentation on the device, optimiser and schedule, files of a run."""
