"""Terms of the objective against the originals and scalar references."""

from __future__ import annotations

import pytest
import torch

from epo.config import AggregationCfg, NetworkCfg, NormalizerCfg, PPOCfg
from epo.learner.losses import clipped_surrogate, squared_value_error
from epo.learner.objective import Objective
from epo.models.actor_critic import ActorCritic
from epo.models.distribution import DiagonalGaussian, bounds_excess
from tests.golden import golden
from tests.learner.golden_case import assert_close, tensor
from tests.learner.small_run import gradient_of
from tests.learner.terms import terms_of

EXACT = 1e-10  # float64, tolerance of the golden files


def _objective(case, num_agents):
    """Coefficients of the golden case, the ladder by our own rule."""
    ppo = PPOCfg(
        value_coef=0.5 * case["critic_coef"].item(), bounds_coef=case["bounds_coef"].item()
    )
    network = NetworkCfg(kind="mlp", mlp_units=[4], gene_dim=4)
    model = ActorCritic(5, 3, num_agents, network, NormalizerCfg()).double()
    return Objective(model, ppo, AggregationCfg(entropy_scale=0.005), penalty=None)


@pytest.mark.parametrize("algo", ["ppo", "sapg"])
def test_terms_loss_and_gradients_equal_the_original(algo):
    arrays = golden("learner_losses.npz")
    case = {k[len(algo) + 1 :]: v for k, v in arrays.items() if k.startswith(f"{algo}/")}
    x = {k: tensor(v) for k, v in case.items()}
    mean, value, log_std = (x[k].requires_grad_() for k in ("mu", "values", "log_std"))
    per_agent = log_std.reshape(-1, mean.shape[1])
    agent = x["agent"] if algo == "sapg" else torch.zeros_like(x["agent"])
    terms = terms_of(
        DiagonalGaussian(),
        mean=mean.unsqueeze(0),
        log_std=per_agent[agent],
        value=value.unsqueeze(0),
        action=x["actions"],
        log_prob=-x["old_neglogp"],
        recent_mean=x["old_mu"],
        recent_log_std=x["old_sigma"].log(),
        old_mean=x["old_mu"],
        old_log_std=x["old_sigma"].log(),
        old_value=x["old_values"],
        advantage=x["advantages"],
        target=x["returns"],
        weight=torch.ones_like(x["advantages"]),
        clip_low=x["clip"].item(),
        clip_high=x["clip"].item(),
        value_clip_eps=x["clip"].item(),
        soft_bound=x["soft_bound"].item(),
    )
    objective = _objective(case, len(per_agent))
    assert_close(objective.entropy_coef, case["entropy_coef"], EXACT, "entropy_coef")
    total = objective.loss(terms, agent)
    total.backward()
    for name in ("ratio", "surrogate", "value_loss", "entropy", "bounds", "kl"):
        found = getattr(terms, name)
        assert_close(found, case[f"out_{name}"], EXACT, name)
        if name != "ratio":
            assert_close(found.mean(), case[f"mean_{name}"], EXACT, f"mean {name}")
    assert_close(terms.is_clipped.double().mean(), case["clip_fraction"], EXACT, "clip fraction")
    assert_close(total, case["total"], EXACT, "total")
    for name, leaf in (("mu", mean), ("log_std", log_std), ("value", value)):
        assert_close(gradient_of(leaf), case[f"grad_{name}"], EXACT, f"grad_{name}")


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "moves"),
    [
        (1.05, 2.0, -2.10, True),  # inside
        (1.30, 2.0, -2.20, False),  # good action, already likelier: -1.1 * 2
        (0.70, 2.0, -1.40, True),  # good action, less likely: -0.7 * 2
        (1.30, -2.0, 2.60, True),  # bad action, likelier: 1.3 * 2
        (0.70, -2.0, 1.80, False),  # bad action, already unlikely: 0.9 * 2
    ],
)
def test_surrogate_stops_on_the_favourable_side_only(ratio, advantage, loss, moves):
    rho = torch.tensor(ratio, requires_grad=True)
    found = clipped_surrogate(rho, torch.tensor(advantage), torch.tensor(1.0), 0.1, 0.1)
    found.backward()
    assert found.item() == pytest.approx(loss, abs=1e-6)
    assert gradient_of(rho).item() == pytest.approx(-advantage if moves else 0.0)


def test_weighted_surrogate_is_the_clip_range_centred_on_the_importance():
    """Follower to leader: rho = m r, and rho is clipped to [m (1 - eps), m (1 + eps)]."""
    generator = torch.Generator().manual_seed(0)
    m, ratio = torch.rand(2, 1000, generator=generator, dtype=torch.float64) * 2.0
    advantage = torch.randn(1000, generator=generator, dtype=torch.float64)
    rho = m * ratio
    clipped = torch.minimum(torch.maximum(rho, 0.8 * m), 1.3 * m)
    expected = torch.maximum(-rho * advantage, -clipped * advantage)
    found = clipped_surrogate(ratio, advantage, m, 0.2, 0.3)
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("value", "old_value", "target", "clipped", "plain"),
    [
        (1.05, 1.0, 2.0, 0.9025, 0.9025),  # moved 0.05: not clipped, (1.05 - 2)^2
        (1.50, 1.0, 2.0, 0.81, 0.25),  # towards the target: (1.1 - 2)^2 > (1.5 - 2)^2
        (0.00, 1.0, 2.0, 4.0, 4.0),  # away from it: (0 - 2)^2 > (0.9 - 2)^2
        (1.50, 1.0, 1.1, 0.16, 0.16),  # beyond it: (1.5 - 1.1)^2 > (1.1 - 1.1)^2
    ],
)
def test_value_error_is_pessimistic_over_the_clipped_update(
    value, old_value, target, clipped, plain
):
    new, old, goal = torch.tensor([value, old_value, target])
    for clip_eps, expected in ((0.1, clipped), (None, plain)):
        found = squared_value_error(new, old, goal, clip_eps).item()
        assert found == pytest.approx(expected, abs=1e-6)


def test_terms_by_hand():
    """One sample, one dimension: new policy N(0, 1), old policy N(3, 2), action 1.2."""
    new, old = torch.tensor([[0.0]]), torch.tensor([[3.0]])
    terms = terms_of(
        DiagonalGaussian(),
        mean=new,
        log_std=torch.tensor([[1.0]]).log(),
        value=torch.tensor([1.5]),
        action=torch.tensor([[1.2]]),
        log_prob=torch.tensor([-1.5]),
        recent_mean=old,
        recent_log_std=torch.tensor([[2.0]]).log(),
        old_mean=torch.tensor([[1.0]]),
        old_log_std=torch.tensor([[1.0]]).log(),
        old_value=torch.tensor([1.0]),
        advantage=torch.tensor([2.0]),
        target=torch.tensor([2.0]),
        weight=torch.tensor([3.0]),
        clip_low=0.1,
        clip_high=0.3,
        value_clip_eps=0.2,
        soft_bound=1.1,
    )
    # log prob -1/2 1.2^2 - 0.9189385 = -1.6389385; ratio exp(-0.1389385) = 0.8702815 < 0.9
    assert terms.ratio.item() == pytest.approx(0.8702815, abs=1e-6)
    assert terms.is_clipped.item()
    # 3 max(-0.8702815 * 2, -0.9 * 2) = -5.2216888
    assert terms.surrogate.item() == pytest.approx(-5.2216888, abs=1e-5)
    assert terms.value_loss.item() == pytest.approx(0.64, abs=1e-6)  # (1 + 0.2 - 2)^2
    # KL(new || recent) = log 2 + (1 + 9) / 8 - 1/2, guards below 1e-5
    assert terms.kl.item() == pytest.approx(1.4431472, abs=1e-5)
    # KL(N(1, 1) || N(0, 1)) = 1 / 2
    assert terms.kl_old.item() == pytest.approx(0.5, abs=1e-6)
    assert not terms.is_killed.item()  # too unlikely a good action is pulled back
    assert terms.bounds.item() == 0.0


def test_bounds_excess_adds_squares_beyond_either_bound():
    mean = torch.tensor([[1.1, -1.1], [1.3, -1.0], [1.2, -1.6]])
    # 0; 0.2^2 = 0.04; 0.1^2 + 0.5^2 = 0.26
    expected = torch.tensor([0.0, 0.04, 0.26])
    torch.testing.assert_close(bounds_excess(mean, 1.1), expected, rtol=0.0, atol=1e-6)


def test_killed_samples_are_those_without_gradient():
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(400, 1, generator=generator).requires_grad_()
    action, advantage = torch.randn(2, 400, generator=generator)
    advantage[::50] = 0.0
    nothing = torch.zeros(400)
    terms = terms_of(
        DiagonalGaussian(),
        mean=mean,
        log_std=torch.zeros(1),
        value=nothing,
        action=action.unsqueeze(-1),
        log_prob=torch.full((400,), -1.5),
        recent_mean=mean.detach(),
        recent_log_std=torch.zeros(1),
        old_mean=mean.detach(),
        old_log_std=torch.zeros(1),
        old_value=nothing,
        advantage=advantage,
        target=nothing,
        weight=torch.ones(400),
        clip_low=0.2,
        clip_high=0.1,
        value_clip_eps=None,
        soft_bound=1.1,
    )
    terms.surrogate.sum().backward()
    has_gradient = gradient_of(mean).squeeze(-1) != 0.0
    assert 0.2 < terms.is_killed.float().mean() < 0.8
    assert torch.equal(terms.is_killed, ~has_gradient & (advantage != 0.0))
    assert (terms.kl_old == 0.0).all()
