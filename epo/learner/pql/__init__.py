"""Parallel Q-learning: networks, exploration, experience and updates of one off-policy agent."""
