"""Tasks: families of environments, each behind `tasks.family.Family`."""

from pkgutil import extend_path

# A `tasks` folder of the user's, such as one in the working directory, can be imported from, too;
# ours comes first, see `epo/__init__.py`.
__path__ = extend_path(__path__, __name__)

from tasks.registry import register  # once the path is whole

__all__ = ["register"]
