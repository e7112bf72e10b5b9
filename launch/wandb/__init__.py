"""The view of EPO runs in Weights & Biases, and a sweep of its agents."""
