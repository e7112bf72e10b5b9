"""Tasks: vectorised environments built from a task config and an engine."""
