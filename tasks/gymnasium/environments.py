"""One environment, built with its wrappers or refused in one line."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

import logging
from typing import Any, Optional

import gymnasium
from gymnasium import Env, Wrapper
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import Error
from gymnasium.wrappers import TimeLimit

from tasks.errors import refuse
from tasks.gymnasium.config import EXTRA, GymnasiumCfg
from tasks.gymnasium.lookup import find_spec, reason
from tasks.gymnasium.pixels import Pixels, is_image

_LOG = logging.getLogger(__name__)


class FrameSkip(Wrapper):
    """Repeat every action; the rewards are added, an end of the episode ends the repetition.

    Args:
        env: environment.
        num_steps: environment steps per action.
    """

    def __init__(self, env: Env, num_steps: int) -> None:
        super().__init__(env)
        self.num_steps = num_steps

    def step(self, action: Any) -> Any:
        """Apply the action up to `num_steps` times; the observation is the last one."""
        total = 0.0
        for _ in range(self.num_steps):
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, info


def make_env(cfg: GymnasiumCfg) -> Env:
    """Build one environment with its time limit, frame skip and image treatment.

    Raises:
        ValueError: if a package is missing, or the environment refuses its arguments.
    """
    spec = find_spec(cfg.env_id)
    try:
        if uses_mujoco(spec):
            _route_mujoco_warnings()
        env = gymnasium.make(
            spec,
            max_episode_steps=cfg.max_episode_steps,
            disable_env_checker=True,
            **cfg.kwargs,
        )
    except (ImportError, Error) as error:  # DependencyNotInstalled is an Error
        refuse("task.env_id", cfg.env_id, f"it cannot be built ({reason(error)}); try {EXTRA}")
    except (AssertionError, TypeError, ValueError) as error:
        if not cfg.kwargs:
            raise
        refuse("task.kwargs", cfg.kwargs, f"{cfg.env_id} says: {reason(error)}")
    if cfg.frame_skip > 1:
        env = FrameSkip(env, cfg.frame_skip)
    if is_image(env.observation_space):
        env = Pixels(env, cfg.pixels)
    return env


def uses_mujoco(spec: EnvSpec) -> bool:
    """Tell, before MuJoCo is imported, whether an environment will; by the name of its code."""
    return "mujoco" in str(spec.entry_point).lower()


def control_dt_s(env: Env, frame_skip: int) -> float:
    """Give the duration of one control step, s; 1/30 where the environment does not say."""
    rate_hz = env.metadata.get("render_fps") or 30.0
    return frame_skip / float(rate_hz)


def episode_length(cfg: GymnasiumCfg) -> Optional[int]:
    """Give the time limit of an episode, control steps; None: there is none."""
    steps = cfg.max_episode_steps or find_spec(cfg.env_id).max_episode_steps
    return steps and -(-steps // cfg.frame_skip)


def time_limit(env: Env) -> Optional[TimeLimit]:
    """Give the wrapper that counts the steps of an episode; None: there is none."""
    while isinstance(env, Wrapper):
        if isinstance(env, TimeLimit):
            return env
        env = env.env
    return None


def _route_mujoco_warnings() -> None:
    """Send MuJoCo's remarks on every model to `logging` instead of a file in this folder."""
    import mujoco

    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(lambda message: _LOG.info("%s", message))
