"""No iteration of any algorithm waits for the device: on torch's meta device it could not."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Dict

import pytest
import torch
from omegaconf import OmegaConf

from epo.cli.environment import CONFIG_DIR
from epo.components import load, trainers
from epo.config import AlgoCfg
from epo.record.recorder import Recorder
from epo.runner import loop
from epo.runner.loop import Loop
from epo.runner.snapshot import Numbers
from epo.runner.trainer import Trainer
from epo.validation import validate
from tasks import registry
from tasks.probes.config import ProbeCfg
from tests.composed import quick_compose
from tests.meta import META, NoUploads, allow_meta, made_up_transfer, meta_tensors
from tests.runner.small_config import SmallConfig

ALGORITHMS = sorted(path.stem for path in (Path(CONFIG_DIR) / "algo").glob("*.yaml"))
ALGORITHMS = [name for name in ALGORITHMS if not name.startswith(("epo", "rl_games"))]
"""All but `epo` and `epo_official`, whose generations are tested too, and rl_games, whose code
reads numbers where it likes."""
QUICK = {
    "network": {"lstm_units": 4, "mlp_units": [8], "gene_dim": 2},
    "ppo": {"horizon": 2, "num_minibatches": 1, "num_epochs": 1},
    "poem": {"warmup_updates": 0},
    "evolution": {"trigger": "interval", "warmup_frames": 0},
    "diagnostics": {"enabled": False},  # switched on below
}
"""Two steps and one minibatch: an operation on the meta device takes half a millisecond."""
QUICK_PQL = {
    "warmup_steps": 1,
    "horizon": 3,
    "n_step": 1,
    "critic_updates": 1,
    "batch_size": 8,
    "replay_capacity": 64,
}
STORED: Dict[str, Any] = {
    "ppo": {"bootstrap_truncated": True},
    "aggregation": {"hidden": "stored", "follower_kl_coef": 0.1, "kl_reference": "exclude"},
    "evolution": {"log_std": "average"},
    "clip": {"kind": "br"},
    "diagnostics": {"enabled": True},
}
SYMMETRIC: Dict[str, Any] = {
    "ppo": {"schedule": "fixed"},
    "aggregation": {"mode": "symmetric", "clip_center": "mu", "kl_reference": "follower"},
    "normalizer": {"timing": "minibatch"},
    "penalty": {"kind": "adaptive"},
    "diagnostics": {"enabled": True},
}


@lru_cache(maxsize=None)
def _preset(algo: str) -> Any:
    found = quick_compose("config", ["task=ProbeReach", f"algo={algo}"]).algo
    return OmegaConf.merge(found, QUICK, {"pql": QUICK_PQL} if algo.startswith("pql") else {})


def _build(algo: str, network: str, options: Dict[str, Any], probe: str = "reach") -> Loop:
    """Build the loop on the meta device: 3 agents at most, 2 environments each."""
    cfg = OmegaConf.to_object(OmegaConf.merge(_preset(algo), options))
    assert isinstance(cfg, AlgoCfg)
    cfg.network.kind = network
    if cfg.penalty.kind != "none":
        cfg.ppo.num_minibatches = 2  # a controller of the KL wants to see one
    num_agents = min(cfg.num_agents, 3)
    num_envs = 2 * num_agents
    if cfg.ppo.minibatch_size is not None:
        cfg.ppo.minibatch_size = num_envs * cfg.ppo.horizon  # the size is for the published batch
    cfg.evolution.interval_frames = num_envs * cfg.ppo.horizon
    config = SmallConfig(
        task=ProbeCfg(probe=probe, episode_length=3),
        algo=cfg,
        num_agents=num_agents,
        num_envs=num_envs,
    )
    config.precision = "fp32"  # autocast knows no meta device
    validate(config)
    env = registry.make(config.task, config.engine, num_envs, META, 0, num_agents)
    return _builder(cfg.trainer)(config, env, Recorder([]))


def _builder(trainer: str) -> Any:
    return load(trainers.get(trainer).loop)


def _iterate(trainer: Loop) -> None:
    """Run an iteration; the host may send something to the device only after it."""
    advance = trainer.advance

    def guarded() -> Numbers:
        with NoUploads():
            return advance()

    trainer.advance = guarded
    row = trainer.iterate()
    assert row["leader/fitness"] == trainer.tracker.num_agents - 1.0
    assert all(meta_tensors(trainer.policy_state()))


@pytest.fixture(autouse=True)
def on_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    for trainer in ("ppo", "pbt", "pql"):
        _builder(trainer)  # imported before its torch is replaced
    import_module("tasks.probes.env")
    allow_meta(monkeypatch)
    monkeypatch.setattr(loop, "transfer", made_up_transfer)


def test_what_waits_for_the_device_is_refused():
    x = torch.zeros(2, device=META)
    for read in (lambda: x.sum().item(), lambda: x[x > 0], lambda: bool(x[0] > 0), lambda: x.cpu()):
        with pytest.raises((RuntimeError, NotImplementedError), match=r"[mM]eta"):
            read()
    host = torch.zeros(2)
    with pytest.raises(RuntimeError, match="expected device"):
        x.add(host)
    for upload in (
        lambda: host.to(META),
        lambda: x.copy_(host),
        lambda: torch.tensor([1.0], device=META),
    ):
        upload()
        with pytest.raises(AssertionError, match="copies from the host"), NoUploads():
            upload()


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_iteration_reads_nothing_from_the_device(algo: str):
    network = "mlp" if algo.startswith("pql") else "lstm"
    _iterate(_build(algo, network, {}))


def test_iteration_with_mlp_reads_nothing_from_the_device():
    _iterate(_build("ppo", "mlp", {}))


@pytest.mark.parametrize("algo", [name for name in ALGORITHMS if not name.startswith("pql")])
def test_iteration_of_an_asymmetric_critic_reads_nothing_from_the_device(algo: str):
    _iterate(_build(algo, "lstm", {"network": {"critic": "asymmetric"}}, probe="hidden"))


def test_iteration_of_symmetric_agents_reads_nothing_from_the_device():
    _iterate(_build("sapg", "lstm", SYMMETRIC))


@pytest.mark.parametrize(("algo", "network"), [("epo", "lstm"), ("epo_official", "mlp")])
def test_generation_reads_nothing_from_the_device(algo: str, network: str):
    trainer = _build(algo, network, STORED)
    assert isinstance(trainer, Trainer)
    _iterate(trainer)
    trainer.frames += trainer.frames_per_iteration
    fitness, blocks = trainer.tracker.snapshot(), trainer.tracker.block_means()
    trainer.evolve(made_up_transfer({}, {"any": torch.zeros((), device=META)}, fitness, blocks))
    assert trainer.evolution.generation == 1
