"""The task that walls are added to."""

from tests.tasks.isaacgym.double import TaskDouble


class AllegroKukaTwoArmsReorientation(TaskDouble):
    """Two-arm reorientation."""
