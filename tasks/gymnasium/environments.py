"""One environment, built with its wrappers or refused in one line."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

import logging
import math
from contextlib import contextmanager
from typing import Any, Iterator, List, NoReturn, Optional, Sequence

import gymnasium
from gymnasium import Env, Wrapper
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import DependencyNotInstalled, Error
from gymnasium.wrappers import TimeLimit

from tasks.errors import describe, refuse
from tasks.gymnasium.config import EXTRA, GymnasiumCfg
from tasks.gymnasium.guard import CLOSE, CONSTRUCTION, FailedError, Guard
from tasks.gymnasium.lookup import find_spec
from tasks.gymnasium.pixels import Pixels, is_image
from tasks.gymnasium.values import number

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
            total += number("the reward", reward)
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, info


@contextmanager
def sample(cfg: GymnasiumCfg, guard: Guard) -> Iterator[Env]:
    """Build one environment to look at, outside of any run, and close it.

    Args:
        cfg: settings of the task.
        guard: a sample's.

    Raises:
        ValueError: if it cannot be built, with the way out.
    """
    try:
        with guard(CONSTRUCTION):
            env = build(cfg)
    except FailedError as error:
        _refuse(cfg, error)
    try:
        yield env
    finally:
        close([env], guard)


def build(cfg: GymnasiumCfg) -> Env:
    """Build one environment with its time limit, frame skip and image treatment.

    Raises:
        Exception: whatever the environment raises; call it inside a guard.
    """
    spec = find_spec(cfg)
    if uses_mujoco(spec):
        _route_mujoco_warnings()
    env = gymnasium.make(
        spec,
        max_episode_steps=cfg.max_episode_steps,
        disable_env_checker=True,
        **cfg.kwargs,
    )
    if cfg.frame_skip > 1:
        env = FrameSkip(env, cfg.frame_skip)
    if is_image(env.observation_space):
        env = Pixels(env, cfg.pixels)
    return env


def close(envs: Sequence[Env], guard: Guard) -> None:
    """Close environments; if some fail to, that is a warning."""
    failures: List[FailedError] = []
    for i, env in enumerate(envs):
        failure = _close(env, guard, i)
        failures += [failure] if failure else []
        if failure and failure.is_hang:  # the others would take as long
            break
    if failures:
        others = f" (and {len(failures) - 1} others)" if len(failures) > 1 else ""
        _LOG.warning("warning: %s%s", failures[0], others)


def uses_mujoco(spec: EnvSpec) -> bool:
    """Tell, before MuJoCo is imported, whether an environment will; by the name of its code."""
    return "mujoco" in str(spec.entry_point).lower()


def control_dt_s(env: Env, frame_skip: int) -> float:
    """Return the duration of one control step, s; 1/30 where the environment does not say."""
    rate_hz = (env.metadata or {}).get("render_fps")
    if not isinstance(rate_hz, (int, float)) or not math.isfinite(rate_hz) or rate_hz <= 0:
        rate_hz = 30.0
    return frame_skip / float(rate_hz)


def episode_length(cfg: GymnasiumCfg) -> Optional[int]:
    """Return the time limit of an episode, control steps; None: there is none."""
    steps = cfg.max_episode_steps or find_spec(cfg).max_episode_steps
    return steps and -(-steps // cfg.frame_skip)


def time_limit(env: Env) -> Optional[TimeLimit]:
    """Return the wrapper that counts the steps of an episode; None: there is none."""
    while isinstance(env, Wrapper):
        if isinstance(env, TimeLimit):
            return env
        env = env.env
    return None


def _close(env: Env, guard: Guard, index: int) -> Optional[FailedError]:
    try:
        with guard(CLOSE):
            guard.at(index, CLOSE)
            env.close()
    except FailedError as error:
        return error
    return None


def _refuse(cfg: GymnasiumCfg, error: FailedError) -> NoReturn:
    """Return why an environment cannot be built, and what may mend it.

    Raises:
        ValueError: always.
    """
    cause = error.__cause__
    if not isinstance(cause, (Exception, SystemExit)):  # it hangs
        refuse("task.env_id", cfg.env_id, str(error))
    text = describe(cause).partition(" was raised from ")[0].rstrip(".")
    if isinstance(cause, (ImportError, DependencyNotInstalled)):
        is_own = str(find_spec(cfg).entry_point).startswith("gymnasium.")
        way_out = f"try {EXTRA}" if is_own else "install what it needs"
        refuse("task.env_id", cfg.env_id, f"it cannot be built ({text}); {way_out}")
    if cfg.kwargs and isinstance(cause, (AssertionError, TypeError, ValueError, Error)):
        refuse("task.kwargs", cfg.kwargs, f"{cfg.env_id} says: {text}")
    way_out = "its arguments are task.kwargs.<name>=<value>"
    refuse("task.env_id", cfg.env_id, f"it cannot be built ({text}); {way_out}")


def _route_mujoco_warnings() -> None:
    """Send MuJoCo's remarks on every model to `logging` instead of a file in this folder."""
    import mujoco

    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(lambda message: _LOG.info("%s", message))
