"""Learning from rollouts: PPO losses and updates, the leader's off-policy data, schedules."""
