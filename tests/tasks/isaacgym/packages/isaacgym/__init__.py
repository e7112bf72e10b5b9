"""Stand-in for Isaac Gym: refuses to be imported after torch, as the real one does."""

import sys

if "torch" in sys.modules:
    raise ImportError("PyTorch was imported before isaacgym modules.\nImport isaacgym first.")
