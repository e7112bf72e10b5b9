"""The update: what its first minibatch sees, whose rows it moves, and that it can be resumed."""

from __future__ import annotations

import copy
import io

import pytest
import torch

from epo.config import AdversaryCfg, AggregationCfg, AwacCfg, CpoCfg
from epo.learner.aggregation import relabel
from epo.learner.gae import gae
from epo.learner.metrics import MetricMeans
from epo.models.distribution import kl_divergence
from tests.learner.small_run import SmallRun, genes_of, gradient_of, small_cfg, small_run

KINDS = ["mlp", "lstm"]
NUM_ENVS = 8
PARTS = ["model", "learner", "collector", "env"]  # of a run, with a state_dict


def _prepared(run: SmallRun):
    """Collect and return what the update would learn from."""
    return run.learner.begin(run.collector.collect(), None, MetricMeans())


def _weights(run: SmallRun):
    return {k: v.detach().clone() for k, v in run.model.named_parameters()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_agents", [1, 4])
def test_first_minibatch_of_fresh_data_sees_ratio_one_and_no_kl(kind, num_agents):
    run = small_run(small_cfg(kind), num_agents)
    run.iterate()  # so that weights, statistics and memory are not the initial ones
    run.iterate()
    first = run.learner.record[0]
    terms, own = first.result.terms, first.ids < NUM_ENVS
    assert own.any()
    # float32, |log prob| below 10: rounding 1e-6
    one = torch.ones_like(terms.ratio[:, own])
    torch.testing.assert_close(terms.ratio[:, own], one, rtol=0.0, atol=1e-5)
    assert not terms.is_clipped[:, own].any()
    # Also of the copies, measured against the leader: only the guards of the KL remain,
    # A (1e-5 - 0.5e-5 / std^2) with A = 2 and std in [0.6, 1], plus rounding of 1e-6.
    assert terms.kl.abs().max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_ratio_of_fresh_data_stays_near_one_in_bfloat16(kind):
    run = small_run(small_cfg(kind, "none"), num_agents=4)
    run.model.autocast = torch.bfloat16
    run.iterate()
    run.iterate()
    terms = run.learner.record[0].result.terms
    # bfloat16 rounds by 0.4 %; products of other shapes may round the other way
    assert (terms.ratio - 1.0).abs().max() < 0.02
    assert not terms.is_clipped.any()


def test_reference_timing_moves_the_first_ratio():
    cfg = small_cfg()
    cfg.normalizer.timing = "minibatch"
    run = small_run(cfg)
    run.iterate()
    assert (run.learner.record[0].result.terms.ratio - 1.0).abs().max() > 1e-3


def test_statistics_move_once_per_iteration_after_the_update():
    run = small_run(small_cfg(), num_agents=4)
    run.learner.step = _frozen(run, run.learner.step)  # type: ignore[method-assign]
    rollout = run.collector.collect()
    run.learner.update(rollout)
    observed = run.model.observation_normalizer
    # start at mean 0, count 1; T N = 48 on-policy observations
    total = rollout.observation[:-1].double().sum(dim=(0, 1))
    torch.testing.assert_close(observed.mean, total / 49.0)
    assert observed.count.item() == 49.0
    # returns: 48 own and T N / K = 12 of the copies
    assert run.model.value_normalizer.count.item() == 61.0


def test_values_and_returns_are_normalised_alike():
    run = small_run(small_cfg(), num_agents=4)
    run.iterate()
    update = _prepared(run)
    rollout, batch = update.rollout, update.batch
    own = run.model.normalize_value(rollout.value[:-1])  # statistics are those after all updates
    assert torch.equal(batch.value[:, :NUM_ENVS], own)
    restored = run.model.denormalize_value(batch.target)[:, :NUM_ENVS]
    target = gae(rollout.reward, rollout.value, rollout.is_first, gamma=0.99, lam=0.95)[1]
    torch.testing.assert_close(restored, target, rtol=0.0, atol=1e-5)


def test_advantages_are_standardised_together_with_the_copies():
    batch = _prepared(small_run(small_cfg(), num_agents=4)).batch
    assert batch.num_sequences == 10
    assert batch.advantage.mean().item() == pytest.approx(0.0, abs=1e-6)
    assert batch.advantage.std().item() == pytest.approx(1.0, abs=1e-6)
    assert batch.advantage[:, :NUM_ENVS].std().item() != pytest.approx(1.0, abs=1e-3)


def _frozen(run, step):
    def checked(*args):
        assert run.model.observation_normalizer.count.item() == 1.0
        return step(*args)

    return checked


@pytest.mark.parametrize("is_own", [True, False])
def test_only_the_rows_of_the_learning_agents_get_gradient(is_own):
    """Own sequences of agent 1, or the copies: then only the leader, whoever acted."""
    cfg = small_cfg("lstm")
    cfg.aggregation.ratio = 2.0
    cfg.aggregation.entropy_scale = 0.005
    run = small_run(cfg, num_agents=4)
    update = _prepared(run)
    copies = torch.arange(NUM_ENVS, update.batch.num_sequences)
    ids = torch.tensor([2, 3]) if is_own else copies
    learning = 1 if is_own else 3
    before = _weights(run)
    run.learner.step(update, ids, 0)
    for name, parameter in run.model.named_parameters():
        if name in ("gene", "log_std"):
            moved = (parameter != before[name]).any(dim=1)
            has_gradient = (gradient_of(parameter) != 0.0).any(dim=1)
            expected = torch.arange(4) == learning
            assert torch.equal(has_gradient, expected), name
            assert torch.equal(moved, expected), name
        else:
            assert gradient_of(parameter).any(), name


def test_entropy_bonus_follows_the_ladder_of_the_learning_agent():
    cfg = small_cfg()
    cfg.ppo.entropy_coef = 0.25
    cfg.aggregation.entropy_scale = 0.5
    run = small_run(cfg, num_agents=3, num_envs=9)
    # 0.25 + 0.5 * 0.5 * (1 - i / 2)
    expected = torch.tensor([0.5, 0.375, 0.25])
    torch.testing.assert_close(run.learner.objective.entropy_coef, expected)
    ids = torch.tensor([0, 3, 9])  # agents 0, 1 and a copy for the leader
    result = run.learner.step(_prepared(run), ids, 0)
    terms = result.terms
    plain = terms.surrogate + 2.0 * terms.value_loss + 1e-4 * terms.bounds
    bonus = expected * terms.entropy  # [T, 3]
    torch.testing.assert_close(result.loss, (plain - bonus).mean())


@pytest.mark.parametrize("max_norm", [0.05, 1e6])
def test_gradient_is_clipped_by_its_global_norm(max_norm):
    cfg = small_cfg("lstm")
    cfg.ppo.max_grad_norm = max_norm
    free_cfg = copy.deepcopy(cfg)
    free_cfg.ppo.max_grad_norm = float("inf")
    run, free = small_run(cfg, num_agents=4), small_run(free_cfg, num_agents=4)
    norms = []
    for each in (run, free):
        update = _prepared(each)
        ids = torch.arange(update.batch.num_sequences)
        norms.append(each.learner.step(update, ids, 0).grad_norm)
    gradients = [[gradient_of(p) for p in each.model.parameters()] for each in (run, free)]
    true_norm = sum(g.double().square().sum().item() for g in gradients[1]) ** 0.5
    assert norms[0].item() == pytest.approx(true_norm, rel=1e-5)
    assert 0.05 < true_norm < 1e6
    factor = min(1.0, max_norm / (true_norm + 1e-6))
    for clipped, true in zip(*gradients):
        torch.testing.assert_close(clipped, true * factor)


def test_learning_rate_changes_once_per_epoch():
    cfg = small_cfg(mode="none")
    cfg.ppo.num_epochs, cfg.ppo.kl_target = 3, 1e-12  # any mean KL is too large
    run = small_run(cfg)
    metrics = run.iterate()
    rates = [1e-3, 1e-3, 1e-3 / 1.5, 1e-3 / 1.5, 1e-3 / 2.25, 1e-3 / 2.25]
    assert [s.learning_rate.item() for s in run.learner.record] == pytest.approx(rates, rel=1e-9)
    assert metrics["lr"].item() == pytest.approx(1e-3 / 3.375, rel=1e-9)


def test_fixed_schedule_keeps_the_learning_rate():
    cfg = small_cfg()
    cfg.ppo.schedule, cfg.ppo.kl_target = "fixed", 1e-12
    run = small_run(cfg)
    assert run.iterate()["lr"].item() == 1e-3


def test_fixed_step_size_decays_with_the_frames_of_the_run():
    cfg = small_cfg()
    cfg.ppo.schedule, cfg.ppo.decay_frames = "fixed", 10**6
    run = small_run(cfg)
    rates = [run.iterate()["lr"].item() for _ in range(3)]
    per_update = run.learner.frames / 3 / 10**6
    assert rates == pytest.approx([1e-3 * (1.0 - i * per_update) for i in range(3)], rel=1e-9)
    assert rates[2] < rates[1] < rates[0] == 1e-3


def _steps_with(kl_reference):
    """Two epochs of one minibatch at a constant step size: the KL enters no loss."""
    cfg = small_cfg()
    cfg.ppo.shuffle, cfg.ppo.num_minibatches, cfg.ppo.schedule = False, 1, "fixed"
    cfg.aggregation.kl_reference = kl_reference
    run = small_run(cfg, num_agents=4)
    run.iterate()
    return run.learner.record


def test_kl_reference_decides_on_the_first_epoch_only():
    steps = {name: _steps_with(name) for name in ("leader", "follower", "exclude")}
    own, copies = slice(0, NUM_ENVS), slice(NUM_ENVS, None)
    first = {name: record[0].result for name, record in steps.items()}
    assert first["leader"].terms.kl.abs().max() < 4e-5  # guards
    assert first["follower"].terms.kl[:, own].abs().max() < 4e-5
    assert first["follower"].terms.kl[:, copies].mean() > 1e-2  # agents differ
    for name in ("leader", "follower"):
        assert torch.equal(first[name].kl, first[name].terms.kl.mean())
    torch.testing.assert_close(first["exclude"].kl, first["exclude"].terms.kl[:, own].mean())
    second = {name: record[1].result for name, record in steps.items()}
    for name in ("follower", "exclude"):
        assert torch.equal(second[name].kl, second["leader"].kl)
    assert second["leader"].kl > 0.0


def test_kl_is_measured_against_the_forward_pass_of_the_epoch_before():
    run = small_run(small_cfg("lstm", "none"))
    update = _prepared(run)
    rollout = update.rollout
    ids, models = torch.tensor([1, 4]), []
    for epoch in range(3):
        models.append(copy.deepcopy(run.model))  # before the step
        found = run.learner.step(update, ids, epoch).terms.kl
    agent, memory = rollout.agent[ids], rollout.memory[:, ids]
    with torch.no_grad():
        old, new = (
            model(rollout.observation[:-1, ids], agent, memory, rollout.is_first[:-1, ids])
            for model in models[1:]
        )
    expected = kl_divergence(new.mean, new.log_std, old.mean, old.log_std)
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-6)
    assert expected.mean() > 1e-5  # one step of 1e-3 per weight


@pytest.mark.parametrize("shuffle", [True, False])
def test_every_sequence_is_used_once_per_epoch_in_one_order(shuffle):
    cfg = small_cfg()
    cfg.ppo.shuffle = shuffle
    run = small_run(cfg, num_agents=4)
    run.iterate()
    epochs = [[s.ids for s in run.learner.record if s.epoch == e] for e in range(2)]
    orders = [torch.cat(ids) for ids in epochs]
    in_order = torch.arange(10)  # 8 own, 2 copies
    assert torch.equal(orders[0].sort().values, in_order)
    assert torch.equal(orders[0], orders[1])
    assert torch.equal(orders[0], in_order) is not shuffle


def test_identical_agents_make_the_clip_centres_equal():
    updated = []
    for clip_center in ("one", "mu"):
        cfg = small_cfg("lstm")
        cfg.aggregation.clip_center = clip_center
        run = small_run(cfg, num_agents=2, is_double=True)
        with torch.no_grad():
            for rows in (genes_of(run.model), run.model.log_std):
                rows[1] = rows[0]
        metrics = run.iterate()
        assert metrics["importance/mean"].item() == pytest.approx(1.0, abs=1e-10)
        assert metrics["importance/ess"].item() == pytest.approx(1.0, abs=1e-10)
        updated.append(_weights(run))
    for name, weight in updated[0].items():
        torch.testing.assert_close(weight, updated[1][name], rtol=0.0, atol=1e-9)


def test_effective_sample_share_by_hand():
    run = small_run(small_cfg(), num_agents=2)
    rollout = run.collector.collect()
    cfg, leader = AggregationCfg(clip_center="mu"), torch.ones(4, dtype=torch.int64)
    extra = relabel(rollout, run.model, torch.arange(4), leader, cfg, 0.99)
    # m = exp(leader - behaviour): 1 in half of the copies, 3 in the others
    rollout.log_prob[:, :4] = extra.log_prob - torch.tensor([1.0, 3.0, 1.0, 3.0]).log()
    means = MetricMeans()
    run.learner._relabel(rollout, *run.learner.draw_sources(), means)
    found = means.read()
    assert found["importance/mean"].item() == pytest.approx(2.0, rel=1e-5)
    # (1 + 3 + 1 + 3)^2 / (4 (1 + 9 + 1 + 9)) = 64 / 80
    assert found["importance/ess"].item() == pytest.approx(0.8, rel=1e-5)


@pytest.mark.parametrize("distance", [60.0, 200.0])
def test_followers_far_from_the_leader_leave_finite_metrics(distance: float):
    run = small_run(small_cfg(), num_agents=2)
    rollout = run.collector.collect()
    rollout.log_prob += distance  # as if the followers acted where the leader never would
    means = MetricMeans()
    run.learner._relabel(rollout, *run.learner.draw_sources(), means)
    found = means.read()
    assert all(value.isfinite() for value in found.values())
    # e^-60 is a weight, e^-200 none in float32.
    assert (found["importance/ess"] > 0.0) == (distance < 100.0)


@pytest.mark.parametrize("num_agents", [1, 4])
def test_sapg_without_copies_equals_ppo_bit_for_bit(num_agents):
    """One agent has none to learn from; more agents have none at ratio 0."""
    runs = []
    for mode in ("none", "leader_follower"):
        cfg = small_cfg("lstm", mode)
        cfg.aggregation.ratio = 1.0 if num_agents == 1 else 0.0
        cfg.aggregation.entropy_scale = 0.005
        runs.append(small_run(cfg, num_agents))
    metrics = [[run.iterate() for _ in range(2)][-1] for run in runs]
    assert metrics[0].keys() == metrics[1].keys()
    assert not any("off_policy" in name or "importance" in name for name in metrics[0])
    for name, weight in runs[0].model.named_parameters():
        assert torch.equal(weight, dict(runs[1].model.named_parameters())[name]), name


@pytest.mark.parametrize(("share", "expected"), [(1.0, 1.0), (0.5, 0.75), (0.0, 0.0)])
def test_explained_variance_compares_values_with_returns(share, expected):
    cfg = small_cfg(mode="none")
    cfg.ppo.gamma = 0.0  # the return is the reward
    run, means = small_run(cfg), MetricMeans()
    rollout = run.collector.collect()
    rollout.value[:-1] = share * rollout.reward
    run.learner._assemble(rollout, None, means)
    # 1 - var((1 - share) return) / var(return) = 1 - (1 - share)^2
    assert means.read()["explained_variance"].item() == pytest.approx(expected, abs=1e-5)


def test_metrics_tell_own_data_from_copies():
    cfg = small_cfg()
    cfg.ppo.num_epochs = cfg.ppo.num_minibatches = 1  # all before the first step
    cfg.aggregation.kl_reference = "follower"
    metrics = small_run(cfg, num_agents=4).iterate()
    assert metrics["kl/on_policy"].abs() < 1e-5  # guards
    assert metrics["kl/off_policy"] > 1e-2
    assert metrics["clip_fraction/on_policy"] == 0.0
    assert metrics["clip_fraction/off_policy"] > 0.1


def test_metrics_are_scalars_on_the_device():
    metrics = small_run(small_cfg(), num_agents=4).iterate()
    assert {"kl", "lr", "entropy", "grad_norm", "kl/off_policy", "importance/ess"} <= set(metrics)
    for name, value in metrics.items():
        assert value.shape == (), name
        assert not value.requires_grad, name
        assert value.isfinite(), name


def test_replaced_gene_still_receives_updates():
    run = small_run(small_cfg("lstm"), num_agents=4)
    run.iterate()
    learner, gene = run.learner, genes_of(run.model)
    others = copy.deepcopy(learner.optimizer.state[run.model.log_std])
    moments = copy.deepcopy(learner.optimizer.state[gene])
    with torch.no_grad():
        gene[1] = gene[2:].mean(dim=0)
    learner.reset_moments(gene, [1])
    for name in ("exp_avg", "exp_avg_sq"):
        found = learner.optimizer.state[gene][name]
        assert not found[1].any()
        assert torch.equal(found[[0, 2, 3]], moments[name][[0, 2, 3]])
        assert torch.equal(learner.optimizer.state[run.model.log_std][name], others[name])
    child = gene[1].detach().clone()
    run.iterate()
    assert (gene[1] != child).all()
    assert learner.optimizer.state[gene]["exp_avg"][1].all()


@pytest.mark.parametrize("kind", KINDS)
def test_resumed_update_equals_the_uninterrupted_one(kind):
    cfg = small_cfg(kind)
    cfg.ppo.kl_target = 1e-4  # the step size moves
    run = small_run(cfg, num_agents=4)
    run.iterate()
    file = io.BytesIO()
    torch.save({name: getattr(run, name).state_dict() for name in PARTS}, file)
    file.seek(0)
    resumed = small_run(cfg, num_agents=4, seed=7)
    for name, state in torch.load(file, weights_only=True).items():
        getattr(resumed, name).load_state_dict(state)
    for _ in range(2):
        expected, found = run.iterate(), resumed.iterate()
        assert {k: v.item() for k, v in found.items()} == {k: v.item() for k, v in expected.items()}
    assert found["lr"].item() != cfg.ppo.learning_rate
    for name, value in run.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name
    for steps in zip(run.learner.record, resumed.learner.record):
        assert torch.equal(steps[0].ids, steps[1].ids)


def test_update_leaves_the_rollout_as_it_was():
    run = small_run(small_cfg("lstm"), num_agents=4)
    rollout = run.collector.collect()
    before = copy.deepcopy(rollout)
    run.learner.update(rollout)
    for name, value in before.tensors().items():
        assert torch.equal(rollout.tensors()[name], value), name


@pytest.mark.parametrize(("num_agents", "is_cpo"), [(1, False), (2, False), (2, True)])
def test_what_is_no_experience_changes_nothing(num_agents, is_cpo):
    """Whatever happened in an invalid step, the weights after the update are the same."""
    weights, cfg = [], small_cfg()
    if is_cpo:
        cfg.cpo = CpoCfg(0.2, AwacCfg(beta=0.1), AdversaryCfg(coef=0.1))
    for noise in (0.0, 1e3):
        run = small_run(cfg, num_agents=num_agents, is_double=True)
        rollout = run.collector.collect()
        rollout.is_valid = torch.ones_like(rollout.is_first[:-1])
        rollout.is_valid[2, ::3] = False
        rollout.is_first[2:4, ::3] = True
        invalid = ~rollout.is_valid
        rollout.reward[invalid] += noise
        rollout.action[invalid] += noise
        rollout.log_prob[invalid] -= noise
        run.learner.update(rollout)
        weights.append(torch.cat([p.detach().flatten() for p in run.model.parameters()]))
    torch.testing.assert_close(weights[0], weights[1], rtol=0.0, atol=1e-12)
