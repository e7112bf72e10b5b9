"""The leader's off-policy data: whose sequences, which values, returns and references."""

from __future__ import annotations

import pytest
import torch

from epo.config import AggregationCfg
from epo.config.batch import num_copies
from epo.learner.aggregation import draw_sources, entropy_ladder, relabel
from epo.learner.gae import gae
from epo.learner.metrics import MetricMeans
from epo.learner.ppo import PPO
from epo.models.actor_critic import PolicyOutput
from epo.models.distribution import DiagonalGaussian, log_prob
from epo.rollout.storage import Rollout
from tests.golden import golden
from tests.learner.golden_case import (
    ScriptedEnv,
    algo_cfg,
    assert_close,
    build_model,
    collect,
    load_statistics,
    tensor,
)
from tests.learner.small_run import small_cfg, small_run

EXACT = 1e-10  # float64, tolerance of the golden files


class GoldenRelabelling:
    """The rollout of a golden file, and the sequences of its choices of followers."""

    def __init__(self, net):
        self.arrays = golden(f"learner_relabel_{net}.npz")
        self.model = build_model(self.arrays, normalise=True)
        load_statistics(self.model, self.arrays, "stats0/")
        self.cfg = algo_cfg(self.arrays, is_sapg=True)
        env = ScriptedEnv(*(int(self.arrays[f"cfg/{k}"]) for k in ("envs", "obs", "act")))
        self.rollout = collect(self.model, env, self.arrays, "in/", self.cfg.ppo)[1]
        self.num_choices = int(self.arrays["choices"])

    def sources(self, choice):
        followers, block = tensor(self.arrays[f"{choice}followers"]), int(self.arrays["cfg/block"])
        env_ids = (followers[:, None] * block + torch.arange(block)).flatten()
        return env_ids, torch.full_like(env_ids, int(self.arrays["cfg/blocks"]) - 1)

    def check(self, found, key):
        """Compare [T, S, ...] with the file's [K, T, b, ...]."""
        blocks = tensor(self.arrays[key]).unbind(0)
        assert_close(found, torch.cat(blocks, dim=1).numpy(), EXACT, key)


@pytest.mark.parametrize("net", ["mlp", "lstm"])
@pytest.mark.parametrize("hidden", ["stored", "unroll"])
def test_relabelling_equals_the_original(net, hidden):
    case = GoldenRelabelling(net)
    case.cfg.aggregation.hidden = hidden
    case.cfg.aggregation.kl_reference = "leader"
    names = {"value": "values", "target": "returns", "mean": "mu", "log_prob": "neglogp"}
    for i in range(case.num_choices):
        choice = f"choice{i}/"
        sources = case.sources(choice)
        extra = relabel(
            case.rollout, case.model, *sources, case.cfg.aggregation, case.cfg.ppo.gamma
        )
        actions = case.rollout.action[:, extra.env_ids]
        found = {
            "value": extra.value,
            "target": extra.target,
            "mean": extra.recent_mean,
            "log_prob": -log_prob(actions, extra.recent_mean, extra.recent_log_std),
        }
        for name, value in found.items():
            policy = "leader_" if name in ("mean", "log_prob") else ""
            prefix = "unrolled_" if hidden == "unroll" else policy
            case.check(value, f"{choice}{prefix}{names[name]}")
        case.check(-extra.log_prob, f"{choice}behaviour_neglogp")
        importance = (found["log_prob"] + extra.log_prob).neg().exp()
        torch.testing.assert_close(extra.importance, importance, rtol=1e-10, atol=0.0)
        if hidden == "stored":
            case.check(extra.advantage, f"{choice}advantages")
            std = extra.recent_log_std.exp().expand_as(extra.recent_mean)
            case.check(std, f"{choice}leader_sigma")


@pytest.mark.parametrize("net", ["mlp", "lstm"])
def test_data_set_and_statistics_equal_the_original(net):
    case = GoldenRelabelling(net)
    rollout, arrays = case.rollout, case.arrays
    for i in range(case.num_choices):
        choice = f"choice{i}/"
        load_statistics(case.model, arrays, "stats0/")
        learner = PPO(case.model, case.cfg, rollout.num_envs, seed=0)
        sources = case.sources(choice)
        learner.draw_sources = lambda sources=sources: sources  # type: ignore[method-assign]
        means = MetricMeans()
        raw = learner._assemble(rollout, learner._relabel(rollout, *sources, means), means)
        batch = learner._prepare(raw, None)
        found = {
            "agent": batch.agent.expand(rollout.horizon, -1),
            "off_policy": batch.is_off_policy.expand(rollout.horizon, -1),
            "obs": rollout.observation[:-1, batch.env_ids],
            "actions": rollout.action[:, batch.env_ids],
            "dones": rollout.is_first[:-1, batch.env_ids],
            "old_neglogp": -batch.log_prob,
            "old_mu": batch.recent_mean,
            "old_sigma": batch.recent_log_std.exp().expand_as(batch.recent_mean),
            "old_values": batch.value,
            "returns": batch.target,
            "advantages": batch.advantage,
        }
        for name, value in found.items():
            rows = value.transpose(0, 1).flatten(0, 1)  # [T, S] -> row s T + t
            assert_close(rows, arrays[f"{choice}dataset/{name}"], EXACT, f"{choice}{name}")
        if net == "lstm":
            for name, state in zip(("h0", "c0"), rollout.memory[:, batch.env_ids]):
                assert_close(state, arrays[f"{choice}dataset/{name}"], EXACT, f"{choice}{name}")
        for field in ("mean", "var", "count"):
            ours = getattr(case.model.value_normalizer, field)
            assert_close(ours, arrays[f"{choice}stats/value_{field}"], EXACT, f"{choice}{field}")


@pytest.mark.parametrize("net", ["mlp", "lstm"])
def test_on_policy_part_of_the_relabelled_rollout_equals_the_original(net):
    case = GoldenRelabelling(net)
    rollout, cfg = case.rollout, case.cfg.ppo
    advantage, target = gae(
        rollout.reward, rollout.value, rollout.is_first, gamma=cfg.gamma, lam=cfg.gae_lambda
    )
    found = {"advantages": advantage, "returns": target, "last_values": rollout.value[-1]}
    for name, value in found.items():
        assert_close(value, case.arrays[f"rollout/{name}"], EXACT, name)


class TableModel:
    """Values are the first column of the observation; the policy is N(agent, 1)."""

    distribution = DiagonalGaussian()

    def __call__(self, observation, agent, memory, is_first, state=None):
        mean = agent.to(observation.dtype)[:, None].expand(*observation.shape[:2], 1)
        log_std = torch.zeros(len(agent), 1)
        return PolicyOutput(mean, log_std, observation[..., 0], memory)

    def denormalize_value(self, value):
        return value


def _hand_rollout():
    """Two environments of agents 0 and 1, three steps; environment 0 ends an episode at step 1."""
    action = torch.zeros(3, 2, 1)
    log_std = torch.tensor([[0.1], [0.2]])
    is_first = torch.zeros(4, 2, dtype=torch.bool)
    is_first[2, 0] = True
    value = torch.tensor([[10.0, 1.0], [20.0, 2.0], [30.0, 3.0], [40.0, 4.0]])
    return Rollout(
        agent=torch.tensor([0, 1]),
        observation=value.unsqueeze(-1),
        is_first=is_first,
        action=action,
        log_prob=torch.full((3, 2), -1.5),
        mean=torch.full((3, 2, 1), 7.0),
        log_std=log_std,
        value=torch.zeros(4, 2),
        reward=torch.tensor([[1.0, -1.0], [2.0, -2.0], [3.0, -3.0]]),
        memory=torch.zeros(2, 2, 0),
    )


def _relabel_by_hand(rollout=None, **settings):
    env_ids, agent = torch.tensor([0, 1]), torch.tensor([1, 1])
    cfg = AggregationCfg(mode="leader_follower", **settings)
    model = TableModel()
    return relabel(rollout or _hand_rollout(), model, env_ids, agent, cfg, 0.9)  # type: ignore


def test_off_policy_returns_by_hand():
    extra = _relabel_by_hand()
    # environment 0: 1 + 0.9 * 20 = 19;  2 + 0 (episode over) = 2;  3 + 0.9 * 40 = 39
    # environment 1: -1 + 0.9 * 2 = 0.8; -2 + 0.9 * 3 = 0.7;       -3 + 0.9 * 4 = 0.6
    target = torch.tensor([[19.0, 0.8], [2.0, 0.7], [39.0, 0.6]])
    torch.testing.assert_close(extra.target, target)
    # minus the values 10, 20, 30 and 1, 2, 3
    advantage = torch.tensor([[9.0, -0.2], [-18.0, -1.3], [9.0, -2.4]])
    torch.testing.assert_close(extra.advantage, advantage)


def test_off_policy_return_keeps_the_value_of_a_state_cut_by_time():
    rollout = _hand_rollout()
    rollout.terminal_value = torch.tensor([[0.0, 99.0], [5.0, 99.0], [0.0, 99.0]])
    extra = _relabel_by_hand(rollout)
    assert extra.target[1, 0].item() == pytest.approx(6.5)  # 2 + 0.9 * 5
    assert extra.target[1, 1].item() == pytest.approx(0.7)  # no end: 99 is not read


def test_clip_centre_chooses_reference_and_weight_of_the_ratio():
    one = _relabel_by_hand()
    assert (one.log_prob == -1.5).all()  # behaviour
    assert (one.weight == 1.0).all()
    # leader N(1, 1) at action 0: -1/2 - 1/2 log(2 pi) = -1.4189385; m = exp(1.5 - 1.4189385)
    assert one.importance[0, 0].item() == pytest.approx(1.0844377, abs=1e-6)
    mu = _relabel_by_hand(clip_center="mu", max_importance=1.05)
    assert mu.log_prob[0, 0].item() == pytest.approx(-1.4189385, abs=1e-6)
    assert (mu.weight == torch.tensor(1.05)).all()  # truncated
    assert torch.equal(mu.importance, one.importance)  # the diagnostic is not


def test_kl_reference_is_the_leader_or_the_follower():
    leader, follower = _relabel_by_hand(), _relabel_by_hand(kl_reference="follower")
    assert (leader.recent_mean == 1.0).all()
    assert (leader.recent_log_std == 0.0).all()
    assert (follower.recent_mean == 7.0).all()
    assert torch.equal(follower.recent_log_std, torch.tensor([[0.1], [0.2]]))


def test_stored_memory_is_asked_for_by_name():
    with pytest.raises(ValueError, match="hidden=stored"):
        _relabel_by_hand(hidden="stored")


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
@pytest.mark.parametrize("hidden", ["stored", "unroll"])
def test_relabelling_under_the_own_gene_is_on_policy(kind, hidden):
    cfg = small_cfg(kind)
    cfg.aggregation.hidden = hidden
    run = small_run(cfg, num_agents=4, is_double=True)
    run.iterate()
    rollout = run.collector.collect()
    env_ids = torch.arange(rollout.num_envs)
    extra = relabel(rollout, run.model, env_ids, rollout.agent, cfg.aggregation, 0.99)
    own = {"value": rollout.value[:-1], "log_prob": rollout.log_prob, "old_mean": rollout.mean}
    for name, expected in own.items():
        torch.testing.assert_close(getattr(extra, name), expected, rtol=0.0, atol=1e-10)
    one = torch.ones_like(extra.importance)
    torch.testing.assert_close(extra.importance, one, rtol=0.0, atol=1e-10)


@pytest.mark.parametrize("sampling", ["block", "uniform", "stratified"])
def test_sources_are_distinct_follower_sequences_for_the_leader(sampling):
    num_agents, block = 5, 3
    cfg = AggregationCfg(mode="leader_follower", sampling=sampling, ratio=2.0)
    generator = torch.Generator().manual_seed(0)
    seen, broken_blocks = set(), 0
    for _ in range(200):
        env_ids, agent = draw_sources(num_agents, block, cfg, generator)
        assert env_ids.shape == (2 * block,)
        assert len(set(env_ids.tolist())) == 2 * block
        assert (agent == num_agents - 1).all()
        seen.update(env_ids.tolist())
        first, second = env_ids[0], env_ids[block]
        whole = torch.cat([first + torch.arange(block), second + torch.arange(block)])
        is_whole = torch.equal(env_ids, whole) and (first % block, second % block) == (0, 0)
        broken_blocks += not is_whole
    assert seen == set(range((num_agents - 1) * block))  # all followers, never the leader
    assert (broken_blocks == 0) == (sampling == "block")


@pytest.mark.parametrize("sampling", ["uniform", "stratified"])
def test_samplings_draw_the_same_where_all_followers_are_drawn(sampling):
    drawn = [
        draw_sources(
            5,
            3,
            AggregationCfg(mode="leader_follower", sampling=each, ratio=4.0),
            torch.Generator().manual_seed(0),
        )[0].sort()[0]
        for each in ("block", sampling)
    ]
    assert torch.equal(drawn[0], drawn[1])
    assert drawn[0].tolist() == list(range(4 * 3))


@pytest.mark.parametrize(("num_agents", "mode"), [(1, "leader_follower"), (3, "none")])
def test_sampling_changes_nothing_where_nothing_is_drawn(num_agents, mode):
    weights = []
    for sampling in ("block", "stratified"):
        cfg = small_cfg(mode=mode)
        cfg.aggregation.sampling = sampling
        run = small_run(cfg, num_agents, num_envs=12)
        run.iterate()
        run.iterate()
        weights.append(torch.cat([p.detach().flatten() for p in run.model.parameters()]))
    assert torch.equal(*weights)


def test_symmetric_sources_are_never_the_agents_own():
    num_agents, block = 4, 3
    cfg = AggregationCfg(mode="symmetric", ratio=2.0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        env_ids, agent = draw_sources(num_agents, block, cfg, generator)
        assert (env_ids // block != agent).all()
        assert torch.bincount(agent).tolist() == [2 * block] * num_agents
        assert torch.bincount(env_ids).tolist() == [2] * (num_agents * block)
        assert len(set(zip(env_ids.tolist(), agent.tolist()))) == len(env_ids)


@pytest.mark.parametrize(
    ("num_agents", "mode", "ratio", "expected"),
    [
        (6, "leader_follower", 1.0, 1),
        (6, "leader_follower", 2.7, 2),
        (6, "leader_follower", 9.0, 5),
        (6, "leader_follower", 0.5, 0),
        (6, "none", 1.0, 0),
        (1, "leader_follower", 1.0, 0),
        (1, "symmetric", 1.0, 0),
    ],
)
def test_copies_are_whole_blocks_of_others(num_agents, mode, ratio, expected):
    assert num_copies(num_agents, AggregationCfg(mode=mode, ratio=ratio)) == expected


def test_entropy_ladder_ends_at_the_leader_with_zero():
    # 0.005 * 0.5 * (1 - i / 5)
    expected = torch.tensor([0.0025, 0.002, 0.0015, 0.001, 0.0005, 0.0])
    ladder = entropy_ladder(6, 0.005, torch.zeros(1))
    torch.testing.assert_close(ladder, expected, rtol=0.0, atol=1e-9)
    assert ladder[-1].item() == 0.0
    assert entropy_ladder(1, 0.005, torch.zeros(1)).tolist() == [0.0]


@pytest.mark.parametrize("ratio", [1.0, 3.0])
def test_stratified_sources_take_equally_many_of_every_follower(ratio):
    num_agents, block = 6, 8
    cfg = AggregationCfg(mode="leader_follower", sampling="stratified", ratio=ratio)
    seen = set()
    for seed in range(20):
        env_ids, _ = draw_sources(num_agents, block, cfg, torch.Generator().manual_seed(seed))
        per_follower = torch.bincount(env_ids // block, minlength=num_agents)
        # 8 or 24 sequences of 5 followers: 1 or 2 of each, 4 or 5 of each.
        low = int(ratio) * block // 5
        assert set(per_follower[:-1].tolist()) <= {low, low + 1}
        assert per_follower[-1] == 0
        seen.update(env_ids.tolist())
    assert seen == set(range(5 * block))  # every sequence has its turn
