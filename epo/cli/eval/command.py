"""The verb: compose what the run was, act in fresh worlds, tabulate, write the JSON."""

from __future__ import annotations

import json
import math
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Sequence

from epo.cli import arguments, environment
from epo.cli.eval.measure import Result, play, results
from epo.cli.eval.options import (
    SEED_OFFSET,
    UNLIMITED_STEPS,
    USAGE,
    Options,
    check,
    modes_of,
    num_worlds,
    run_of,
)
from epo.cli.eval.table import show
from epo.cli.interruption import says_what_is_lost
from epo.cli.play.cast import population_of, shown_agents
from epo.cli.play.command import configuration as configuration_of
from epo.cli.progress import progress
from epo.config import Config, ConfigError
from epo.envs import CurriculumEnv, VecEnv
from epo.program import as_typed
from epo.quoting import short_path
from epo.record.files import write_text
from epo.runner.evaluator import Evaluator, load_policy
from epo.runner.saved_run import SavedRun


def main(words: Sequence[str]) -> None:
    """Evaluate the agents of a run and say what they reached.

    Raises:
        ConfigError: if something cannot be evaluated or written.
    """
    if not words or any(word in ("-h", "--help") for word in words):
        print(as_typed(USAGE), end="")
        return
    path, words = run_of(words)
    options, given = arguments.split(words, Options())
    check(options)
    environment.register()
    saved = SavedRun(path)
    modes = modes_of(options, saved)
    out = Path(options.out) if options.out else saved.folder.path / f"eval_{saved.file.stem}.json"
    configs = [configuration(saved, options, name, given) for name in options.engine.split(",")]
    with says_what_is_lost("nothing was written"):
        found: List[Result] = []
        for cfg in configs:
            for mode in modes:
                found += evaluate(saved, options, cfg, mode)
    show(saved, found)
    _write(out, content(saved, configs[0], found))
    print(f"wrote {short_path(out)}")


def configuration(saved: SavedRun, options: Options, engine: str, given: Sequence[str]) -> Config:
    """Compose the run's task for an engine of this machine, with a seed that it never had."""
    seed = options.seed
    if seed is None:
        seed = (int(saved.settings["seed"]) + SEED_OFFSET) % 2**31
    return configuration_of(saved, [*given, f"seed={seed}"], [f"engine={engine}", "device=auto"])


def hold(options: Options, env: VecEnv) -> Dict[str, float]:
    """Hold the level of the task's curriculum; return it by its name, nothing without curriculum.

    Raises:
        ConfigError: if a level is asked for where there is none.
    """
    if isinstance(env, CurriculumEnv):
        level = env.target_level if options.level is None else options.level
        return {env.level_name: env.hold_level(level)}
    if options.level is not None:
        raise ConfigError("level", options.level, "the task has no curriculum; leave it out")
    return {}


def evaluate(saved: SavedRun, options: Options, cfg: Config, mode: str) -> List[Result]:
    """Let the agents act on one engine in one mode; every mode gets the same episodes' seeds.

    Raises:
        ConfigError: if an agent or the network does not fit.
    """
    population = population_of(cfg)
    agents = shown_agents(options.agents, population, name="agents", most=population)
    worlds = num_worlds(options, len(agents))
    per_world = math.ceil(options.episodes / worlds)
    limit = environment.longest_episode(cfg) or UNLIMITED_STEPS
    max_steps = options.max_steps or 2 * per_world * limit
    cfg = replace(cfg, num_agents=len(agents), num_envs=worlds * len(agents))
    with closing(environment.make_env(cfg)) as env:
        seed = cfg.seed if mode == "stochastic" else None
        policy = load_policy(cfg.algo, population, saved.state, saved.file, env, agents, seed)
        level = hold(options, env)
        with progress(f"{env.spec.engine}, {mode}", env.spec.num_envs * per_world) as tick:
            played = play(Evaluator(env, policy), per_world, max_steps, tick)
        return results(env.spec, mode, agents, worlds, per_world, played, level)


def content(saved: SavedRun, cfg: Config, found: Sequence[Result]) -> Dict[str, Any]:
    """Return what the JSON file holds: where the agents are from and what they reached."""
    return {
        "checkpoint": str(saved.file),
        "iteration": saved.state["iteration"],
        "frames": saved.state["frames"],
        "seed": cfg.seed,
        "level": found[0].level if found else {},
        "results": [result.as_plain() for result in found],
    }


def _write(out: Path, data: Dict[str, Any]) -> None:
    try:
        write_text(out, json.dumps(data, indent=1, allow_nan=False) + "\n")
    except OSError as error:
        way_out = f"cannot be written ({error.strerror}); choose another out=<file>.json"
        raise ConfigError("out", out, way_out) from error
