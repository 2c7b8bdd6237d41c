"""Crashes on purpose: kills, full disks, second runs; what resumes must equal the undisturbed run."""
