"""Probes: tiny tasks whose answer is known, to test a learner with."""
