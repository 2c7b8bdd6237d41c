"""Crashes on purpose: kills, full disks, second runs; what is gone on from must equal the undisturbed run."""
