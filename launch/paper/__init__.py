"""`python -m launch.paper`: the campaign of the EPO paper, 8 tasks x 5 algorithms x 5 seeds."""
