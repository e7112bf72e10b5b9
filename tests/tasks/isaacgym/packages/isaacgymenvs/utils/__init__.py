"""Helpers of isaacgymenvs."""
