"""Which settings a resumed run may change: one table, the longest name that fits decides.

`FREE`: not part of the command; a run continues with any value. `OPEN`: `resume=RUN` takes the new
value and says so, `resume=auto` looks for the run of the same command. `FIXED`: the value is part
of what was saved, or would have no effect; another one is refused.
"""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from epo.config.pbt import pbt_of

FREE, OPEN, FIXED = "free", "open", "fixed"

RESUME: Mapping[str, str] = {
    "run_dir": FREE,
    "resume": FREE,
    # Where yaml was read; what it said is compared setting by setting.
    "search_path": FREE,
    # The components that they bring are settings themselves.
    "plugins": FREE,
    "record": FREE,
    "guard": FREE,
    "device": FREE,
    # On another number of ranks new episodes begin.
    "devices": FREE,
    "max_frames": FREE,
    "max_iterations": FREE,
    "max_minutes": FREE,
    "precision": OPEN,
    "compile": OPEN,
    # Random numbers continue where they were, networks are those of the checkpoint.
    "seed": FIXED,
    "checkpoint": FIXED,
    "genes": FIXED,
    "num_agents": FIXED,
    "num_envs": FIXED,
    # Only the first frames of a run depend on it.
    "staggered_starts": FIXED,
    # How the same physics is computed; what is simulated stays.
    "engine.name": FIXED,
    "engine.physics": FIXED,
    "engine.num_threads": FREE,
    "engine.graph": FREE,
    "engine.kernel_cache": FREE,
    "engine.max_contacts": FREE,
    "engine.max_constraints": FREE,
    "engine.solver_iterations": OPEN,
    "engine.overrides": OPEN,
    "engine.verify": FREE,
    # Rewards, limits and curricula may change; what the saved worlds are made of may not.
    "task": OPEN,
    "task.kind": FIXED,
    "task.name": FIXED,
    "task.probe": FIXED,
    "task.env_id": FIXED,
    "task.frame_skip": FIXED,
    "task.pixels": FIXED,
    "task.vectorization": FREE,
    "task.step_timeout_s": FREE,
    "task.start_timeout_s": FREE,
    "task.num_workers": FREE,
    "task.envs_per_core": FREE,
    "task.make": FIXED,
    "task.id": FIXED,
    "task.api": FREE,
    "task.autoreset": FREE,
    "task.observation_groups": FIXED,
    "task.action_range": FIXED,
    "task.subtask": FIXED,
    "task.num_arms": FIXED,
    "task.wall": FIXED,
    "task.observe_wall": FIXED,
    "task.arm_action": FIXED,
    "task.same_shapes_per_block": FIXED,
    "task.objects": FIXED,
    "task.randomize": FIXED,
    "task.randomization": FIXED,
    "task.curriculum.initial_tolerance_m": FIXED,
    "algo.name": FIXED,
    "algo.trainer": FIXED,
    "algo.num_agents": FREE,
    "algo.network": FIXED,
    "algo.hooks": OPEN,
    "algo.own": OPEN,
    "algo.normalizer.observation": FIXED,
    "algo.normalizer.value": FIXED,
    "algo.normalizer.timing": OPEN,
    "algo.normalizer.clip": OPEN,
    "algo.ppo": OPEN,
    "algo.aggregation": OPEN,
    "algo.clip": OPEN,
    "algo.clip.window": FIXED,
    "algo.penalty": OPEN,
    "algo.poem": OPEN,
    "algo.diagnostics": OPEN,
    "algo.cpo": OPEN,
    "algo.cpo.adversary.mlp_units": FIXED,
    # Intervals are counted, and fitness is being measured, from before.
    "algo.evolution": OPEN,
    "algo.evolution.interval_frames": FIXED,
    "algo.evolution.fitness_metric": FIXED,
    "algo.pql": OPEN,
    "algo.pql.critic": FIXED,
    "algo.pql.num_atoms": FIXED,
    "algo.pql.replay_dtype": FIXED,
    "algo.pbt": OPEN,
    "algo.pbt.backend": FIXED,
    "algo.pbt.folder": FIXED,
    "algo.pbt.member": FIXED,
    "algo.pbt.objective": FIXED,
    "algo.pbt.interval_frames": FIXED,
    "algo.pbt.mutable": FIXED,
    "algo.rl_games": OPEN,
}
"""Setting, or group of settings -> what a resume may do with it; docs/runs.md explains."""


def rule(name: str) -> str:
    """Return the rule of the dotted setting `name`.

    Raises:
        KeyError: if nobody has decided.
    """
    words = name.split(".")
    for length in range(len(words), 0, -1):
        found = RESUME.get(".".join(words[:length]))
        if found is not None:
            return found
    raise KeyError(name)


def no_effect(cfg: Any, name: str) -> str:
    """Return why a new value of an open setting would change nothing; empty if it takes effect."""
    algo = cfg.algo
    if algo.trainer == "pbt" and name.startswith("algo.") and name[5:] in pbt_of(algo).mutable:
        return "every member has its own value, which evolves"
    for setting, controller in _CONTROLLED:
        if name == setting and getattr(getattr(algo, controller[0]), controller[1]) == "adaptive":
            return "the run has adapted it since"
    return ""


_CONTROLLED: Tuple[Tuple[str, Tuple[str, str]], ...] = (
    ("algo.ppo.learning_rate", ("ppo", "schedule")),
    ("algo.penalty.coef", ("penalty", "kind")),
)
