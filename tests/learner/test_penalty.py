"""The KL penalty, its rule, and the worked examples of the note on PPO's decline."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from epo.config import PenaltyCfg
from epo.learner.penalty import KLPenalty, adapt_coef, make_penalty
from epo.learner.signals import penalty_share, sample_means, sample_sums
from epo.models.distribution import Categorical
from tests.learner.small_run import small_cfg, small_run
from tests.learner.terms import terms_of

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("kl", "beta", "expected"),
    [
        (0.006, 1.0, 0.5),  # below 0.01 / 1.5
        (0.016, 1.0, 2.0),  # above 0.01 * 1.5
        (0.010, 1.0, 1.0),
        (0.015, 1.0, 1.0),  # on the border
        (0.0, 1.5e-4, 1e-4),  # 0.75e-4 is below the lower bound
        (1.0, 80.0, 100.0),  # 160 is above the upper bound
    ],
)
def test_beta_is_halved_or_doubled_within_bounds(kl, beta, expected):
    before, divergence = torch.tensor([beta, kl], dtype=torch.float64)
    found = adapt_coef(before, divergence, PenaltyCfg(kl_target=0.01)).item()
    assert found == pytest.approx(expected)


def test_beta_survives_a_checkpoint_and_follows_its_setting_when_fixed():
    adaptive = KLPenalty(PenaltyCfg(kind="adaptive"), CPU)
    adaptive.end_update(torch.tensor(1.0))
    resumed = KLPenalty(PenaltyCfg(kind="adaptive"), CPU)
    resumed.load_state_dict(adaptive.state_dict())
    adaptive.end_update(torch.tensor(1.0))
    assert (resumed.coef.item(), adaptive.coef.item()) == (2.0, 4.0)
    fixed = KLPenalty(PenaltyCfg(kind="fixed", coef=3.0), CPU)
    fixed.end_update(torch.tensor(1.0))
    assert fixed.coef.item() == 3.0
    fixed.cfg.coef = 0.5
    assert fixed.coef.item() == 0.5
    assert make_penalty(PenaltyCfg(), CPU) is None


@pytest.mark.parametrize(("kl", "expected"), [(0.01, 0.02), (0.03, 0.06 + 1000.0 * 0.01**2)])
def test_hinge_begins_at_twice_the_target(kl, expected):
    cfg = PenaltyCfg(kind="fixed", coef=2.0, kl_target=0.01, hinge_coef=1000.0)
    divergence = torch.tensor(kl, requires_grad=True)
    loss = KLPenalty(cfg, CPU).loss(divergence)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    slope = 2.0 if kl < 0.02 else 2.0 + 2000.0 * 0.01
    assert divergence.grad.item() == pytest.approx(slope, rel=1e-5)  # type: ignore[union-attr]


def test_reference_of_copies_is_the_leader_before_the_update():
    cfg = small_cfg()
    cfg.aggregation.kl_reference = "follower"
    cfg.ppo.num_epochs = cfg.ppo.num_minibatches = 1
    run = small_run(cfg, num_agents=4)
    run.iterate()
    terms = run.learner.record[0].result.terms
    assert terms.kl.max() > 1e-2  # what the step size follows: the leader over its followers
    assert terms.kl_old.abs().max() < 1e-5


def example(old, new, advantage, eps):
    """Two samples in one state, one of each action."""
    old, new = torch.tensor([old, new], dtype=torch.float64).log().unbind()
    settings: Any = {
        "recent_mean": old, "recent_log_std": torch.zeros(0), "old_mean": old,
        "old_log_std": torch.zeros(0), "old_value": torch.zeros(2), "value": torch.zeros(2),
        "target": torch.zeros(2), "weight": torch.ones(2), "clip_low": eps, "clip_high": eps,
        "value_clip_eps": None, "soft_bound": 1.0,
    }  # fmt: skip
    advantage = torch.tensor(advantage, dtype=torch.float64)
    terms = terms_of(
        Categorical(),
        mean=new.expand(2, 2),
        log_std=torch.zeros(0),
        action=torch.tensor([[0.0], [1.0]]),
        log_prob=old,
        advantage=advantage,
        **settings,
    )
    return terms, sample_means(sample_sums(terms, advantage, eps, eps, None))


def objective(terms, beta):
    """What is maximised."""
    loss = terms.surrogate.mean()
    return -(loss + KLPenalty(PenaltyCfg(kind="fixed", coef=beta), CPU).loss(terms.kl_old.mean()))


def test_first_example_is_held_by_the_bad_action_not_by_the_good_one():
    terms, signals = example((0.2, 0.8), (0.1, 0.9), (-0.5, 0.8), 0.2)
    assert terms.ratio.tolist() == pytest.approx([0.5, 1.125])
    assert objective(terms, 0.0).item() == pytest.approx(0.25)  # (-0.8 * 0.5 + 1.125 * 0.8) / 2
    assert (signals["kill_neg"].item(), signals["kill_pos"].item()) == (1.0, 0.0)
    assert signals["kill"].item() == 0.5


def test_second_example_is_not_dominated_by_its_penalty():
    terms, signals = example((0.8, 0.2), (0.75, 0.25), (-0.2, 0.9), float("inf"))
    assert terms.kl_old[0].item() == pytest.approx(0.0070, abs=5e-5)
    assert objective(terms, 0.0).item() == pytest.approx(0.4688, abs=5e-5)
    assert objective(terms, 5.0).item() == pytest.approx(0.4337, abs=5e-5)
    # gain (0.9375 * -0.2 + 1.25 * 0.9) / 2 - 0.35 = 0.11875; 0.0351 / (0.11875 + 0.0351)
    share = penalty_share(signals["kl_exact"], torch.tensor(5.0), signals["gain"])
    assert share.item() == pytest.approx(0.2281, abs=1e-3)  # H2 asks for more than 0.5


def test_third_example_is_not_clipped_at_all():
    terms, signals = example((0.3, 0.7), (0.25, 0.75), (-0.3, 0.8), 0.2)
    assert terms.ratio.tolist() == pytest.approx([0.8333, 1.0714], abs=5e-5)
    assert signals["clip_frac"].item() == 0.0
    assert terms.kl_old[0].item() == pytest.approx(0.0064, abs=5e-5)
    assert objective(terms, 0.0).item() == pytest.approx(0.3036, abs=5e-5)
    assert objective(terms, 2.0).item() == pytest.approx(0.2908, abs=5e-5)
