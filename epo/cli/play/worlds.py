"""The worlds that are played, and who acts in them."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Optional, Tuple

from epo.cli import environment
from epo.cli.play.cast import Cast
from epo.cli.play.options import Options
from epo.config import Config, ConfigError
from epo.envs import CurriculumEnv
from epo.runner.evaluator import Evaluator

if TYPE_CHECKING:
    from epo.runner.saved_run import SavedRun


def build(
    cast: Cast, options: Options, saved: Optional[SavedRun], cfg: Config, stack: ExitStack
) -> Tuple[Evaluator, Optional[float]]:
    """Build the worlds and their actors; `stack` closes them.

    Returns:
        What steps them, and the level that their curriculum is held at; None: there is none.

    Raises:
        ConfigError: if something does not fit the task.
    """
    cfg.num_agents, cfg.num_envs = len(cast.agents), len(cast.labels)
    env = stack.enter_context(closing(environment.make_env(cfg)))
    policy = cast.policy(cfg, env)
    level = options.level
    if isinstance(env, CurriculumEnv):
        if level is None and saved is not None:
            level = saved.level(env)
        level = env.hold_level(level)
    elif level is not None:
        raise ConfigError("level", level, "the task has no curriculum; leave it out")
    return Evaluator(env, policy), level
