"""Mutations: how large, judged on what, accepted when, and otherwise without a trace."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from epo.config import PoemCfg
from epo.learner.metrics import MetricMeans
from epo.learner.poem import Poem, mutable_parameters, severity
from tests.learner.small_run import SmallRun, small_cfg, small_run

ALWAYS_TRIGGERED = 1e9


def poem_run(kind="mlp", num_agents=1, **settings) -> SmallRun:
    cfg = small_cfg(kind)
    cfg.poem = PoemCfg(
        **{"enabled": True, "warmup_updates": 0, "kl_threshold": ALWAYS_TRIGGERED, **settings}
    )
    return small_run(cfg, num_agents)


def hook_of(run: SmallRun) -> Poem:
    hook = run.learner.hooks[0]
    assert isinstance(hook, Poem)
    return hook


def probed(run: SmallRun):
    """Collect, prepare the update and draw the probe."""
    update = run.learner.begin(run.collector.collect(), None, MetricMeans())
    hook_of(run).on_update_start(update)
    return update


def state_of(run: SmallRun):
    """Everything that a rejected mutation must leave alone."""
    optimizer = copy.deepcopy(run.learner.optimizer.state_dict()["state"])
    return copy.deepcopy(run.model.state_dict()), optimizer


def assert_same_state(run: SmallRun, before):
    model, optimizer = state_of(run)
    assert all(torch.equal(model[name], before[0][name]) for name in before[0])
    for moments, old in zip(optimizer.values(), before[1].values()):
        assert all(torch.equal(moments[name], old[name]) for name in old)


def along_the_gradient(hook: Poem, update, sign: float):
    """Make the noise the gradient of the loss, which raises it, or its opposite."""
    loss = hook.objective.evaluate(update, hook._probe.ids).loss
    gradients = torch.autograd.grad(loss, hook.mutable)
    noise = {id(p): sign * g for p, g in zip(hook.mutable, gradients)}
    hook._noise = lambda parameter: noise[id(parameter)]  # type: ignore[method-assign]
    return noise


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_mutation_that_raises_the_loss_leaves_no_trace(kind):
    run = poem_run(kind, min_sigma=0.01, max_sigma=0.01)
    run.iterate()
    hook, update = hook_of(run), probed(run)
    along_the_gradient(hook, update, 1.0)
    before = state_of(run)
    hook.on_update_end(update)
    assert hook.metrics()["poem/dL"] > 0.0
    assert hook.metrics()["poem/accept_rate"] == 0.0 and hook.metrics()["poem/accepted"] == 0
    assert_same_state(run, before)


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_mutation_that_lowers_the_loss_stays_bit_for_bit(kind):
    run = poem_run(kind, min_sigma=0.01, max_sigma=0.01)
    run.iterate()
    hook, update = hook_of(run), probed(run)
    noise = along_the_gradient(hook, update, -1.0)
    expected = [p.detach() + 0.01 * noise[id(p)] for p in hook.mutable]
    accepted = int(hook.num_accepted)
    hook.on_update_end(update)
    assert hook.metrics()["poem/dL"] < 0.0 and hook.metrics()["poem/accepted"] == 1
    assert hook.metrics()["poem/accepted_total"] == accepted + 1
    assert hook.metrics()["poem/kl_mutation"] > 0.0
    for parameter, value in zip(hook.mutable, expected):
        assert torch.equal(parameter, value)


def test_noise_grows_with_stagnation():
    cfg = PoemCfg(kl_threshold=0.1, min_sigma=0.01, max_sigma=0.05)
    found = severity(torch.tensor([0.0, 0.05, 0.1, 0.3, -0.2], dtype=torch.float64), cfg)
    assert found.tolist() == pytest.approx([0.05, 0.03, 0.01, 0.01, 0.05])


def test_threshold_of_zero_has_the_least_noise_at_any_novelty():
    cfg = PoemCfg(kl_threshold=0.0, min_sigma=0.01, max_sigma=0.05)
    assert severity(torch.tensor([-0.2, 0.0, 0.3]), cfg).tolist() == pytest.approx([0.01] * 3)


def test_threshold_of_zero_never_mutates_a_policy_that_equals_its_average():
    run = poem_run(kl_threshold=0.0, acceptance="always", ema_decay=0.0)
    run.iterate()  # with decay 0 the average is what the policy became
    hook, update = hook_of(run), probed(run)
    hook.on_update_end(update)
    metrics = hook.metrics()
    assert abs(metrics["poem/D"]) < 1e-6
    assert metrics["poem/trigger_rate"] == 0.0 and metrics["poem/sigma"].isnan()


def test_policy_that_moves_enough_is_not_mutated():
    run = poem_run(kl_threshold=1e-12, acceptance="always")
    run.iterate()
    with torch.no_grad():
        run.model.mean_head.bias.add_(0.5)  # away from its average
    hook, update = hook_of(run), probed(run)
    before = state_of(run)
    hook.on_update_end(update)
    metrics = hook.metrics()
    assert metrics["poem/D"] > 0.1 and metrics["poem/trigger_rate"] == 0.0
    assert metrics["poem/sigma"].isnan() and metrics["poem/accept_rate"].isnan()
    assert_same_state(run, before)


@pytest.mark.parametrize(("noise", "factor"), [("absolute", 1.0), ("relative", None)])
def test_noise_has_the_size_it_should(noise, factor):
    run = poem_run(noise=noise)
    hook = hook_of(run)
    parameter = torch.nn.Parameter(0.3 * torch.randn(400, 400))
    rms = parameter.square().mean().sqrt().item() if factor is None else factor
    found = hook._noise(parameter).std().item()
    assert found == pytest.approx(rms, rel=0.02)


def test_loss_of_the_probe_is_the_same_when_it_is_computed_again():
    run = poem_run("lstm", num_agents=4)
    run.iterate()
    hook, update = hook_of(run), probed(run)
    average = hook.average(hook._probe.sequences)
    with torch.no_grad():
        first, again = hook._judge(update, average), hook._judge(update, average)
    assert torch.equal(first.loss, again.loss) and torch.equal(first.novelty, again.novelty)


@pytest.mark.parametrize("counts", [True, False])
def test_novelty_counts_as_a_gain_if_that_is_wanted(counts):
    run = poem_run(diversity_coef=0.5, diversity_acceptance=counts)
    run.iterate()
    hook, update = hook_of(run), probed(run)
    with torch.no_grad():
        run.model.mean_head.bias.add_(0.3)
        found = hook._judge(update, hook.average(hook._probe.sequences))
    expected = found.found.loss - (0.5 * found.novelty if counts else 0.0)
    assert found.novelty > 0.01
    torch.testing.assert_close(found.loss, expected)


def test_novelty_in_the_loss_pushes_the_policy_from_its_average():
    distances = []
    for gradient in (False, True):
        run = poem_run(
            acceptance="never", diversity_coef=10.0, diversity_gradient=gradient, ema_decay=1.0
        )
        for _ in range(5):
            run.iterate()
        distances.append(run.learner.signals["poem/D"].item())
    assert distances[1] > 2.0 * distances[0]


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("acceptance", ["loss", "always"])
def test_mutant_that_is_not_finite_is_refused(value, acceptance):
    run = poem_run(acceptance=acceptance)
    run.iterate()
    hook, update = hook_of(run), probed(run)
    hook._noise = lambda parameter: torch.full_like(parameter, value)  # type: ignore
    before = state_of(run)
    hook.on_update_end(update)
    assert hook.metrics()["poem/accepted"] == 0
    assert_same_state(run, before)


def test_mutant_far_from_the_data_is_refused_however_good():
    counts = []
    for max_kl in (1e-9, None):
        run = poem_run(min_sigma=0.01, max_sigma=0.01, max_kl=max_kl)
        run.iterate()
        hook, update = hook_of(run), probed(run)
        along_the_gradient(hook, update, -1.0)
        hook.on_update_end(update)
        counts.append(int(hook.metrics()["poem/accepted"]))
    assert counts == [0, 1]


@pytest.mark.parametrize(("acceptance", "expected"), [("always", 3), ("never", 0)])
def test_acceptance_can_be_taken_away(acceptance, expected):
    run = poem_run(acceptance=acceptance)
    for _ in range(3):
        run.iterate()
    assert run.learner.signals["poem/accepted_total"] == expected


def test_average_takes_in_the_accepted_mutant():
    run = poem_run(acceptance="always", ema_decay=0.0, max_sigma=0.1, min_sigma=0.1)
    run.iterate()
    hook = hook_of(run)
    for name, parameter in run.model.named_parameters():
        assert torch.equal(hook.average.parameters[name], parameter), name


def test_same_seed_mutates_alike_and_another_one_does_not():
    sequences = []
    for seed in (0, 0, 1):
        run = poem_run(min_sigma=0.02, max_sigma=0.02)
        hook_of(run).generator.manual_seed(seed)
        found = []
        for _ in range(8):
            run.iterate()
            found.append((int(run.learner.signals["poem/accepted"]), run.model.mean_head.bias[0]))
        sequences.append([(accepted, bias.item()) for accepted, bias in found])
    assert sequences[0] == sequences[1] != sequences[2]
    assert len({accepted for accepted, _ in sequences[0]}) == 2  # some stay, some do not


@pytest.mark.parametrize(("when", "checks"), [("update", 3), ("minibatch", 3 * 4)])
def test_checks_per_update_or_per_minibatch(when, checks):
    run = poem_run(acceptance="always", when=when)
    for _ in range(3):  # 2 epochs of 2 minibatches each
        run.iterate()
    assert run.learner.signals["poem/accepted_total"] == checks


def test_nothing_is_mutated_while_it_warms_up():
    run = poem_run(acceptance="always", warmup_updates=2)
    accepted = []
    for _ in range(4):
        run.iterate()
        accepted.append(int(run.learner.signals["poem/accepted_total"]))
    assert accepted == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ("tensors", "num_agents", "kept"),
    [
        ("policy", 1, {"value_head.weight", "value_head.bias", "log_std"}),
        ("policy", 4, {"value_head.weight", "value_head.bias", "log_std", "gene"}),
        ("all", 1, set()),
        ("all", 4, {"log_std", "gene"}),
    ],
)
def test_what_belongs_to_one_agent_or_to_the_value_head_is_not_mutated(tensors, num_agents, kept):
    model = small_run(small_cfg("lstm"), num_agents).model
    mutable = {id(parameter) for parameter in mutable_parameters(model, tensors)}
    names = {name for name, parameter in model.named_parameters() if id(parameter) not in mutable}
    assert names == kept


def test_trunk_of_the_critic_is_no_part_of_the_policy():
    cfg = small_cfg("lstm")
    cfg.network.critic = "separate"
    model = small_run(cfg, 4).model
    assert model.critic is not None
    own = list(model.critic.parameters())
    for tensors, num in (("policy", 0), ("all", len(own))):
        mutable = {id(parameter) for parameter in mutable_parameters(model, tensors)}
        assert sum(id(parameter) in mutable for parameter in own) == num


@pytest.mark.parametrize(("states", "per_agent"), [(1, 1), (24, 1), (30, 1), (48, 2), (9999, 2)])
def test_probe_has_as_many_sequences_of_every_agent(states, per_agent):
    run = poem_run("lstm", num_agents=4, probe_states=states)  # 2 environments each, horizon 6
    update = probed(run)
    probe = hook_of(run)._probe
    assert torch.bincount(update.batch.agent[probe.ids]).tolist() == [per_agent] * 4
    assert probe.sequences.memory.shape == (2, 4 * per_agent, 8)


def test_probe_of_a_minibatch_has_its_size():
    run = poem_run(probe_states=None)  # 8 sequences in 2 minibatches
    probed(run)
    assert len(hook_of(run)._probe.ids) == 4


def test_moments_of_an_accepted_mutant_are_forgotten_if_wanted():
    for reset in (False, True):
        run = poem_run(acceptance="always", reset_moments=reset)
        run.iterate()
        state = run.learner.optimizer.state
        assert state[run.model.mean_head.weight]["exp_avg"].any() == (not reset)
        assert state[run.model.value_head.weight]["exp_avg"].any()


def test_new_gene_starts_a_new_average():
    run = poem_run(num_agents=4)
    run.iterate()
    gene = run.model.gene
    assert gene is not None
    with torch.no_grad():
        gene[1] = 5.0
    run.learner.reset_moments(gene, [1])
    assert (hook_of(run).average.parameters["gene"][1] == 5.0).all()
