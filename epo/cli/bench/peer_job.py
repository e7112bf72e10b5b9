"""What both sides of a comparison with rl_games are told to do, and whether it is the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, List, NamedTuple, Sequence

import torch

from epo.cli.bench.learn import Case, cases
from epo.cli.bench.learn_timing import spec_of
from epo.cli.bench.synthetic import RING, SyntheticEnv
from epo.config import AlgoCfg, Config, ConfigError
from epo.config.rl_games import check_translatable, sequences_per_minibatch
from epo.envs import EnvSpec
from epo.peers.rl_games.parameters import parameters
from epo.runner.trainer import build_model

SAME = ("algo=rl_games_ppo", "algo.trainer=ppo")
"""Our PPO with the settings that rl_games can do."""
NETS = "net=lstm,mlp"
"""The networks compared unless the command line names one."""
Work = Dict[str, Any]


class Plan(NamedTuple):
    """How all processes are measured.

    Attributes:
        warm_up: turns before the timed ones.
        turns: how often every process runs an iteration.
        threads: of torch on the CPU.
        dones: probability that an episode ends at a step.
    """

    warm_up: int
    turns: int
    threads: int
    dones: float


class Comparison(NamedTuple):
    """One configuration that both sides run.

    Attributes:
        settings: arguments that lead to it, `SAME` left out.
        cfg: validated and resolved, with our trainer.
        spec: shapes of the task.
        work: what an iteration consists of, by our configuration and our network.
    """

    settings: List[str]
    cfg: Config
    spec: EnvSpec
    work: Work


def comparisons(arguments: Sequence[str], dones: float) -> List[Comparison]:
    """Return every combination of settings, checked for both sides.

    Raises:
        ConfigError: at a setting that is wrong, or that rl_games cannot do.
    """
    names = {argument.partition("=")[0]: argument for argument in arguments}
    for name in {"algo", "algo.trainer"} & set(names):
        value = names[name].partition("=")[2]
        raise ConfigError(
            name, value, "both sides are PPO with the settings of rl_games; leave it out"
        )
    nets = [] if {"net", "algo.network.kind"} & set(names) else [NETS]
    return [_comparison(case) for case in cases([*SAME, *nets, *arguments], [dones])]


def _comparison(case: Case) -> Comparison:
    cfg = case.cfg
    check_translatable(cfg)  # rl_games need not be installed here.
    spec = spec_of(cfg)
    if spec.choices or spec.image_shape is not None:
        raise ConfigError("task", spec.name, "compared are continuous actions on vectors")
    settings = [line for line in case.variant.settings if line not in SAME]
    return Comparison(settings, cfg, spec, work_of(cfg.algo, spec))


def work_of(algo: AlgoCfg, spec: EnvSpec) -> Work:
    """Return what an iteration of ours consists of, in the words of the worker's `work`."""
    one = SyntheticEnv(replace(spec, num_envs=1), torch.device("cpu"), 0, 0.0)
    model = build_model(algo, one, 1, 0)
    size = sequences_per_minibatch(algo, spec.num_envs)
    is_lstm, ppo = algo.network.kind == "lstm", algo.ppo
    num_minibatches = spec.num_envs // size
    return {
        "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "samples": spec.num_envs * ppo.horizon,
        "num_epochs": ppo.num_epochs,
        "num_minibatches": num_minibatches,
        "minibatch_size": size * ppo.horizon,
        "sequence_length": ppo.horizon if is_lstm else None,
        "resets_memory": is_lstm,
        "normalizes_observation": algo.normalizer.observation,
        "normalizes_value": algo.normalizer.value,
        "gradient_steps": ppo.num_epochs * num_minibatches,
    }


def check_work(peer: str, found: Work, expected: Work) -> None:
    """Refuse a comparison of different amounts of work, as far as `found` tells.

    Raises:
        ConfigError: naming the first difference.
    """
    for name, value in found.items():
        if value != expected[name]:
            way_out = f"it has to be {expected[name]}; give both sides the same"
            raise ConfigError(f"{name} of {peer}", value, way_out)


def our_job(settings: Sequence[str], plan: Plan) -> Dict[str, Any]:
    """Write what `epo_worker` reads."""
    return {
        "settings": list(settings),
        "done_probability": plan.dones,
        "threads": plan.threads,
    }


def rl_games_job(comparison: Comparison, plan: Plan, is_compiled: bool) -> Dict[str, Any]:
    """Write what `rl_games_worker` reads."""
    cfg, spec = comparison.cfg, comparison.spec
    return {
        "params": parameters(cfg.algo, spec, cfg.device, 1 + cfg.seed),
        "device": cfg.device,
        "num_envs": spec.num_envs,
        "observation_dim": spec.observation_dim,
        "action_dim": spec.action_dim,
        "net": cfg.algo.network.kind,
        "seed": cfg.seed,
        "ring": RING,
        "done_probability": plan.dones,
        "threads": plan.threads,
        "compile": is_compiled,
    }
