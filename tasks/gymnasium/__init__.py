"""Any Gymnasium environment (classic control, Box2D, MuJoCo, your own) as a task."""
