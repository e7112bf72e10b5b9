"""Components of one's own, chosen by name."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from epo.components import TABLES, Table, advantages, hooks, networks, own_settings, quantities
from epo.learner.advantage import Estimate
from epo.learner.gae import gae
from epo.learner.hooks import UpdateHook
from epo.learner.metrics import MetricMeans
from epo.models.actor_critic import ActorCritic
from epo.rollout.storage import Quantity
from epo.runner.trainer import build_model
from epo.validation import validate
from tests.composed import composed
from tests.learner.small_run import small_cfg, small_run


@dataclass
class WideCfg:
    """Settings of a network."""

    gain: float = 1.0


@dataclass
class OtherCfg:
    """Other settings."""


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
    for table in TABLES:
        monkeypatch.setattr(table, "_targets", dict(table._targets))
        monkeypatch.setattr(table, "settings", dict(table.settings))


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


def test_network_of_ones_own_is_built_with_its_settings(own):
    class Wide(ActorCritic):
        """A network that knows its settings."""

        def __init__(self, *args, settings):
            super().__init__(*args)
            self.gain = settings.gain

    networks.register("wide", Wide, settings=WideCfg)
    cfg = small_cfg()
    cfg.network.model, cfg.own = "wide", {"wide": {"gain": 3.0}}
    model = build_model(cfg, small_run(small_cfg()).env, 2, seed=0)
    assert isinstance(model, Wide)
    assert model.gain == 3.0


def test_two_components_of_one_name_with_settings_are_refused(own):
    networks.register("mine", ActorCritic, settings=WideCfg)
    advantages.register("mine", print, settings=OtherCfg)
    with pytest.raises(ValueError, match="two components 'mine' have settings"):
        own_settings()


def test_hooks_of_ones_own_come_before_the_diagnostics_and_draw_from_their_own_stream(own):
    seeds = {}

    def hook(parts, name):
        seeds[name] = parts.seed
        return UpdateHook()

    for name in ("one", "two"):
        hooks.register(name, lambda parts, name=name: hook(parts, name))
    cfg = small_cfg()
    cfg.hooks = ["two", "one"]
    found = small_run(cfg, num_agents=4).learner.hooks
    assert [each.name for each in found] == ["two", "one", "diagnostics"]
    first = dict(seeds)
    cfg.hooks = ["one"]
    small_run(cfg, num_agents=4)
    assert seeds == first
    assert first["one"] != first["two"]
