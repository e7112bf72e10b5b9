"""Task names and what they stand for."""

from tests.tasks.isaacgym.double import TaskDouble

isaacgym_task_map = {"AllegroKuka": TaskDouble, "AllegroKukaTwoArms": TaskDouble}
