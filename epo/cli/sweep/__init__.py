"""`python train.py -m`: many runs in one folder, each a process of its own, and their table."""
