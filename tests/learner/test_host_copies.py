"""No number leaves the device during an iteration, however many agents there are."""

from __future__ import annotations

import pytest
import torch

from epo.config import AdversaryCfg, AwacCfg
from tests.host_reads import host_reads
from tests.learner.small_run import small_cfg, small_run


def test_host_reads_are_seen():
    def work():
        x = torch.arange(3.0)
        return x.sum().item(), bool(x[0] > 1), x[x > 0], x.tolist(), x.nonzero()

    reads = host_reads(work)
    assert reads["_local_scalar_dense"] >= 2
    assert all(reads[name] == 1 for name in ("item", "__bool__", "tolist", "mask", "nonzero"))


@pytest.mark.parametrize("mode", ["leader_follower", "symmetric"])
@pytest.mark.parametrize("num_agents", [2, 8])
def test_iteration_reads_nothing_from_the_device(num_agents, mode):
    cfg = small_cfg("lstm", mode)
    cfg.aggregation.kl_reference, cfg.aggregation.clip_center = "exclude", "mu"
    cfg.ppo.bootstrap_truncated = True
    run = small_run(cfg, num_agents)
    reads = host_reads(run.iterate)
    assert not reads


EXTRAS = {
    "ppo_br": {"clip": {"kind": "br", "window": 2, "smoothing": 0.5}},
    "ppo_kl": {"clip": {"kind": "none"}, "penalty": {"kind": "adaptive", "hinge_coef": 1000.0}},
    "cpo": {"cpo": {"lambda_kl": 0.1, "awac": AwacCfg(beta=1e-3), "adversary": AdversaryCfg(0.01)}},
    "poem": {"poem": {"enabled": True, "warmup_updates": 0, "reset_moments": True}},
    "poem_minibatch": {"poem": {"enabled": True, "warmup_updates": 0, "when": "minibatch",
                                "diversity_gradient": True, "noise": "absolute"}},
}  # fmt: skip


def _with_extra(name):
    cfg = small_cfg("lstm")
    for group, settings in EXTRAS[name].items():
        for setting, value in settings.items():
            setattr(getattr(cfg, group), setting, value)
    return cfg


@pytest.mark.parametrize("name", EXTRAS)
@pytest.mark.parametrize("num_agents", [1, 4])
def test_extras_read_nothing_from_the_device(name, num_agents):
    run = small_run(_with_extra(name), num_agents)
    run.iterate()
    assert not host_reads(run.iterate)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("num_agents", [1, 8])
@pytest.mark.parametrize("name", [None, *EXTRAS])
def test_iteration_never_waits_for_cuda(num_agents, name):
    cfg = small_cfg("lstm") if name is None else _with_extra(name)
    run = small_run(cfg, num_agents, device="cuda")
    run.iterate()  # loads kernels
    torch.cuda.set_sync_debug_mode("error")
    try:
        run.iterate()
    finally:
        torch.cuda.set_sync_debug_mode("default")
