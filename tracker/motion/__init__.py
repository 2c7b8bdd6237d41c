"""Where tracks go: Kalman filters of all tracks at once, and the motion models they filter."""
