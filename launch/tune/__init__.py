"""`python -m launch.tune NAME`: search for settings with Optuna, every trial a process."""
