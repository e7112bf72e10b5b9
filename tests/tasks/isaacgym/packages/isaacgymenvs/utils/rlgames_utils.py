"""What `make` imports; in the real one it needs rl_games."""
