"""What must agree between isaacgymenvs' task and ours before training starts.

Whatever does not fit is one line that names the override that caused it, if one did.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Dict, Iterator, NoReturn

from omegaconf import DictConfig, OmegaConf

from tasks.allegro_kuka import observations
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.engines.config import IsaacGymCfg
from tasks.errors import refuse
from tasks.isaacgym import walls

NUM_ACTORS = {1: 4, 2: 5}
"""Actors of an environment without walls, by number of arms: robots, object, table, goal."""
BUILT_IN: Dict[str, Any] = {
    "task.env.clampAbsObservations": 10.0,
    "task.env.objectBaseSize": 0.05,
    "task.env.objectType": "block",
    "task.env.observationType": "full_state",
    "task.env.useRelativeControl": False,
    "task.task.randomize": False,
}
"""Keys of isaacgymenvs whose value our own observation or action relies on."""
AT_LEAST = {"task.env.clipObservations": 10.0, "task.env.clipActions": 1.0}
"""Keys that `VecTask` reads besides, and the values from which they change nothing."""
OURS = {
    "task.env.numEnvs": "num_envs",
    "task.env.subtask": "task",
    "task.env.keypointScale": "task.keypoint_scale",
}
"""Our settings that take the place of an override."""


def check_composed(
    composed: DictConfig, cfg: AllegroKukaCfg, engine_cfg: IsaacGymCfg, num_envs: int
) -> None:
    """Refuse overrides that change sizes or what observations and actions mean.

    `engine.verify=false` lets the meaning pass, not the sizes.

    Args:
        composed: isaacgymenvs' configuration with all overrides.
        cfg: our task, already checked.
        engine_cfg: holds the overrides.
        num_envs: N.

    Raises:
        ValueError: naming the key, both values and the override.
    """
    sizes = {"task.env.numEnvs": num_envs, "task.env.subtask": cfg.subtask}
    meaning = {**BUILT_IN, "task.env.keypointScale": cfg.keypoint_scale}
    for key, expected in {**sizes, **(meaning if engine_cfg.verify else {})}.items():
        value = OmegaConf.select(composed, key)
        if value is not None and value != expected:  # A version may lack the key.
            go_on = ", or engine.verify=false to continue" if key in meaning else ""
            _refuse_key(engine_cfg, key, value, str(expected), go_on)
    for key, least in AT_LEAST.items() if engine_cfg.verify else ():
        value = OmegaConf.select(composed, key)
        if value is not None and value < least:
            go_on = ", or engine.verify=false to continue"
            _refuse_key(engine_cfg, key, value, f"{least} or more", go_on)


def check_built(env: Any, cfg: AllegroKukaCfg, engine_cfg: IsaacGymCfg) -> None:
    """Refuse a task that has other things in it, or other sizes, than we asked for.

    Args:
        env: the `VecTask`, fresh.
        cfg: our task.
        engine_cfg: named where its overrides may be the reason.

    Raises:
        ValueError: with both numbers.
    """
    expected = NUM_ACTORS[cfg.num_arms] + len(walls.WALLS[cfg.wall])
    actors = env.root_state_tensor.shape[0] // env.num_envs
    if actors != expected:
        way_out = (
            f"isaacgymenvs puts {actors} actors into an environment where {expected} belong; its "
            "EPO fork builds the hole into two-arm reorientation: use isaac-sim's or SAPG's, or "
            "engine=mujoco_warp"
        )
        refuse("task.wall", cfg.wall, way_out)
    sizes = {
        "observes": (env.num_obs, observations.dimension(cfg.subtask, cfg.num_arms)),
        "takes": (env.num_actions, 23 * cfg.num_arms),
    }
    for verb, (size, expected) in sizes.items():
        if size != expected:
            what = "numbers" if verb == "observes" else "actions"
            reason = f"isaacgymenvs {verb} {size} {what} where {expected} belong"
            refuse_engine(engine_cfg, reason, "use isaac-sim's IsaacGymEnvs 1.5 as it is")


def refuse_engine(engine_cfg: IsaacGymCfg, reason: str, way_out: str) -> NoReturn:
    """Refuse the engine; overrides, if there are any, are the first thing to leave out.

    Raises:
        ValueError: always.
    """
    if engine_cfg.overrides:
        refuse("engine.overrides", engine_cfg.overrides, f"{reason}; leave it out, or {way_out}")
    refuse("engine", "isaacgym", f"{reason}; {way_out}")


@contextmanager
def one_line(phase: str, engine_cfg: IsaacGymCfg) -> Iterator[None]:
    """Turn whatever isaacgymenvs raises in `phase` into one line.

    Raises:
        ValueError: with the phase, the exception and the overrides.
    """
    try:
        yield
    # Foreign code: NotImplementedError, AssertionError, KeyError, plain Exception are all there.
    except Exception as error:
        text = str(error).strip().partition("\n")[0]
        reason = f"isaacgymenvs fails in {phase}: {type(error).__name__}: {text}"
        refuse_engine(engine_cfg, reason, "see docs/isaacgym.md")


def _refuse_key(
    engine_cfg: IsaacGymCfg, key: str, value: Any, expected: str, go_on: str
) -> NoReturn:
    """Name the override that sets `key`; all of them if none does so alone, as `task/env=throw`."""
    lines = engine_cfg.overrides
    culprits = [line for line in lines if line.lstrip("+").partition("=")[0] == key] or lines
    if culprits:
        instead = f"set {OURS[key]} instead" if key in OURS else "leave it out"
        way_out = f"it makes {key} {value}, and ours counts on {expected}; {instead}{go_on}"
        refuse("engine.overrides", culprits, way_out)
    way_out = f"isaacgymenvs has {key}={value} where {expected} belongs; use isaac-sim's 1.5{go_on}"
    refuse("engine", "isaacgym", way_out)
