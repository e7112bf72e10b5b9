"""One run from its settings to its end: what it begins with, environments, loop, folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import torch

from epo.components import load, trainers
from epo.config import Config
from epo.config.devices import agents_here, deals_members
from epo.envs import PooledEnv, VecEnv
from epo.exceptions import one_line
from epo.memory import keep_freed_memory
from epo.quoting import short_path
from epo.ranks import ALONE, Ranks
from epo.record.progress import RunPlan
from epo.record.recorder import Recorder, build_recorder, check_packages
from epo.rollout.staggered import stagger
from epo.runner import budget, checkpoint
from epo.runner.evaluation import Evaluation
from epo.runner.fit import load_weights, restore
from epo.runner.forecast import Forecast, MemoryMeter
from epo.runner.gene_bank import transplant
from epo.runner.loop import Loop
from epo.runner.run_folder import RunFolder, as_recorded
from epo.runner.seeds import derive_seed, rank_seed
from epo.runner.session import Session
from epo.runner.start import RunStart, find_start
from epo.runner.whole import is_dealt_anew, own
from epo.terminal import say

State = Dict[str, Any]


def run(
    cfg: Config,
    make_env: Callable[[Config], VecEnv],
    is_drawn: bool = False,
    ranks: Ranks = ALONE,
) -> int:
    """Train as `cfg` says and return the process's exit code.

    Args:
        cfg: validated and resolved configuration; of several ranks that of the whole run.
        make_env: builds the environments.
        is_drawn: whether the task can be played as a video.
        ranks: that train together. Rank 0 alone looks at the disk, writes and speaks.

    Raises:
        ConfigError: if the run folder, a checkpoint or the task cannot be used.
    """
    keep_freed_memory()
    starts: List[RunStart] = []
    weights, state, is_finished = ranks.first(lambda: _look(cfg, starts))
    if is_finished:
        return 0
    num_here = agents_here(cfg, ranks.size)
    part = replace(
        cfg,
        num_agents=num_here,
        num_envs=cfg.num_envs // ranks.size,
        seed=rank_seed(cfg.seed, ranks.rank),
    )
    device = torch.device(cfg.device)
    meter = MemoryMeter(device, ranks.size if device.type == "cpu" else 1)
    env = ranks.together(lambda: make_env(part))
    try:
        meter.note_simulator()
        if isinstance(env, PooledEnv) and ranks.size > 1 and not deals_members(cfg):
            env.pool(ranks.across)
        if state is None and cfg.staggered_starts:
            seed = derive_seed(cfg.seed, "staggered starts")
            stagger(env, int(cfg.num_agents), seed, ranks, num_here)
        trainer = ranks.together(lambda: _begin(cfg, env, ranks, state, weights))
        if cfg.record.eval_interval:
            trainer.evaluation = Evaluation(cfg, make_env)
        cfg.run_dir, saved_iteration = ranks.first(lambda: _open(cfg, env, starts[0]))
        folder = starts[0].folder if starts else RunFolder(Path(str(cfg.run_dir)))
        folder.saved_iteration = saved_iteration
        trainer.begin()
        if ranks.rank == 0:
            say(budget.line(trainer))
        frames = None if state is None else trainer.frames
        with _recorder(cfg, env, ranks, frames) as recorder:
            trainer.recorder = recorder
            return Session(trainer, folder, recorder, is_drawn, Forecast(meter)).run()
    finally:
        try:
            env.close()
        except Exception as error:  # nothing is lost any more
            say(f"warning: {env.spec.name} does not close ({one_line(error)})", is_error=True)


def make_loop(cfg: Config, env: VecEnv, recorder: Recorder, ranks: Ranks = ALONE) -> Loop:
    """Build the way of training that `algo.trainer` names."""
    build = load(trainers.get(cfg.algo.trainer).loop)
    # Those that train in one process only are refused before (`epo/config/devices.py`).
    return build(cfg, env, recorder) if ranks.size == 1 else build(cfg, env, recorder, ranks)


def _look(cfg: Config, starts: List[RunStart]) -> Tuple[Optional[State], Optional[State], bool]:
    """Read what the run begins with: weights, the state it continues, and whether it is over."""
    weights = checkpoint.load(Path(cfg.checkpoint)) if cfg.checkpoint else None
    start = find_start(cfg)
    starts.append(start)
    if start.note:
        say(start.note)
    if start.is_finished:
        return None, None, True
    return weights, start.load(), False


def _begin(
    cfg: Config, env: VecEnv, ranks: Ranks, state: Optional[State], weights: Optional[State]
) -> Loop:
    """Build the loop of this rank, at the state or with the weights that it begins with."""
    trainer = make_loop(cfg, env, Recorder([]), ranks)
    if state is not None:
        last = RunFolder(Path(str(cfg.run_dir))).last
        num_agents = int(cfg.num_agents)
        if is_dealt_anew(state, ranks):
            say(f"{env.spec.name}: another number of ranks, new episodes begin")
        restore(trainer, own(state, trainer.state_dict, num_agents, ranks), last)
    elif weights is not None:
        load_weights(trainer, weights, Path(str(cfg.checkpoint)))
    if state is None and cfg.genes:
        transplant(trainer, Path(cfg.genes))
    return trainer


def _open(cfg: Config, env: VecEnv, start: RunStart) -> Tuple[str, int]:
    """Begin the session in the run folder; return its path and the iteration that it holds."""
    check_packages(cfg.record)
    # Nothing on the disk has changed so far: whatever can be refused has been.
    start.begin(cfg, env.spec.versions)
    start.folder.write_spec(replace(env.spec, num_envs=cfg.num_envs))
    return str(cfg.run_dir), start.iteration


def _recorder(cfg: Config, env: VecEnv, ranks: Ranks, frames: Optional[int]) -> Recorder:
    """Build what writes the numbers down, on rank 0."""
    if ranks.rank:
        return Recorder([])
    where, plan = Path(str(cfg.run_dir)), _plan(cfg, env, ranks)
    return build_recorder(where, cfg.record, plan, as_recorded(cfg), frames)


def _plan(cfg: Config, env: VecEnv, ranks: Ranks) -> RunPlan:
    num_agents, num_envs = int(cfg.num_agents), env.spec.num_envs * ranks.size
    where = cfg.device if ranks.size == 1 else f"{ranks.size} ranks, {cfg.device}"
    return RunPlan(
        title=f"{env.spec.name} · {cfg.algo.name}",
        details=f"{num_agents} agents × {num_envs // num_agents} envs · "
        f"{env.spec.engine} on {where} · seed {cfg.seed}",
        run_dir=short_path(cfg.run_dir),
        max_frames=cfg.max_frames,
        max_iterations=cfg.max_iterations,
        max_minutes=cfg.max_minutes,
        headline=env.spec.headline,
    )
