"""Running: the loop, and what it needs to survive: folder, checkpoints, signals."""
