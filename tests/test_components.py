"""Components of one's own, chosen by name."""

from __future__ import annotations

import pytest
import torch

from epo.components import Table, advantages, quantities
from epo.learner.advantage import Estimate
from epo.learner.gae import gae
from epo.learner.hooks import UpdateHook
from epo.learner.metrics import MetricMeans
from epo.rollout.storage import Quantity
from epo.validation import validate
from tests.composed import composed
from tests.learner.small_run import small_cfg, small_run


def test_table_imports_when_asked_and_keeps_names_of_its_own():
    table = Table("algo.x", {"one": "epo.learner.gae:gae"})
    assert table.get("one") is gae
    with pytest.raises(ValueError, match="x=one is a component of epo"):
        table.register("one", "other:thing")

    @table.register("two")
    def two() -> None:
        """Do nothing."""

    assert table.names == ("one", "two")
    assert table.get("two") is two


@pytest.fixture
def own(monkeypatch):
    """Let every test register what it likes."""
    for table in (advantages, quantities):
        monkeypatch.setattr(table, "_targets", dict(table._targets))


def test_estimator_of_ones_own_is_what_the_update_learns_from(own):
    @advantages.register("reward")
    def reward(rollout, ppo):
        return Estimate(rollout.reward - ppo.gamma, rollout.reward)

    cfg = small_cfg(mode="none")
    cfg.ppo.advantage = "reward"
    run = small_run(cfg)
    rollout = run.collector.collect()
    update = run.learner.begin(rollout, None, MetricMeans())
    assert torch.equal(update.raw_advantage, rollout.reward - 0.99)


class Watcher(UpdateHook):
    """Keep what reaches the loss."""

    def __init__(self) -> None:
        self.seen = []

    def add_to_loss(self, update, found, loss):
        self.seen.append((found.samples.batch.env_ids, found.samples.extra["twice"]))
        return loss


@pytest.mark.parametrize("num_agents", [1, 4])
def test_quantity_reaches_the_loss_of_own_and_relabelled_samples(own, num_agents):
    quantities.register("twice", Quantity(lambda step: step.observation[:, :2] * 2.0, (2,)))
    cfg = small_cfg()
    cfg.ppo.quantities = ["twice"]
    run, watcher = small_run(cfg, num_agents), Watcher()
    run.learner.hooks.append(watcher)
    rollout = run.collector.collect()
    run.learner.update(rollout)
    assert rollout.extra["twice"].shape == (6, 8, 2)
    assert len(watcher.seen) == 4
    for env_ids, value in watcher.seen:
        assert torch.equal(value, 2.0 * rollout.observation[1:, env_ids, :2])


def test_name_that_nobody_registered_is_refused_with_the_nearest():
    cfg = composed("task=ProbeReach", "algo=ppo", "algo.ppo.advantage=gea")
    with pytest.raises(ValueError, match=r"algo.ppo.advantage=gea: unknown; did you mean gae\?"):
        validate(cfg)
