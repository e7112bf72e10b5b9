"""A live view of worlds in a browser; it knows a task only through `Scene`."""
