"""Minibatches that are left out: no trace in weights, moments, step size or means."""

from __future__ import annotations

from typing import Any, Dict

import pytest
import torch
from torch import Tensor

from epo.config import ConfigError
from epo.learner.objective import Objective
from epo.learner.skipping import IN_A_ROW, SKIPPED, Skipping
from epo.record.recorder import Recorder
from epo.runner.guard import NonFiniteError
from epo.runner.trainer import Trainer
from epo.validation import validate
from tests.composed import composed
from tests.runner.test_run import RUN, make_env


def make_trainer(*settings: str) -> Trainer:
    cfg = composed(*RUN, *settings)
    return Trainer(cfg, make_env(cfg), Recorder([]))


def poison(monkeypatch: pytest.MonkeyPatch, steps: range) -> None:
    """Let the loss of these minibatches, counted from 0, be NaN."""
    real, count = Objective.evaluate, [0]

    def evaluate(self: Objective, *arguments: Any) -> Any:
        found = real(self, *arguments)
        count[0] += 1
        return found._replace(loss=found.loss * float("nan")) if count[0] - 1 in steps else found

    monkeypatch.setattr(Objective, "evaluate", evaluate)


def parameters(trainer: Trainer) -> Dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}


def test_optimizer_takes_no_step_and_keeps_its_moments():
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([weight], lr=torch.tensor(0.1), fused=True)
    skipping = Skipping(optimizer, weight.device)
    skipping.begin_update()

    def step(factor: float) -> bool:
        optimizer.zero_grad()
        loss = (weight * factor).sum()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([weight], 1.0)
        is_fine = skipping.look(loss, norm)
        optimizer.step()
        return bool(is_fine)

    assert step(1.0)
    state = {name: value.clone() for name, value in optimizer.state[weight].items()}
    before = weight.detach().clone()
    assert not step(float("nan")) and not step(float("inf"))
    assert torch.equal(weight, before)
    assert all(torch.equal(optimizer.state[weight][name], value) for name, value in state.items())
    assert step(1.0)
    assert not torch.equal(weight, before)
    assert {name: float(value) for name, value in skipping.read().items()} == {
        SKIPPED: 2.0,
        IN_A_ROW: 2.0,
    }
    skipping.begin_update()
    assert float(skipping.read()[SKIPPED]) == 0.0


def test_without_a_bad_minibatch_nothing_changes():
    rows = [make_trainer(f"guard.on_nonfinite={kind}").iterate() for kind in ("stop", "skip")]
    assert rows[1].pop(SKIPPED) == 0.0
    times = {"wall_s", "fps", "sim_s", "learn_s", "act_s"}
    ours, theirs = ({n: v for n, v in row.items() if n not in times} for row in rows)
    assert repr(ours) == repr(theirs)  # NaN is equal to itself there


def test_bad_minibatch_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch):
    trainer = make_trainer("guard.on_nonfinite=skip")
    poison(monkeypatch, range(1, 3))  # of 2 epochs of 2
    before = parameters(trainer)
    row = trainer.iterate()
    assert row[SKIPPED] == 2.0
    assert IN_A_ROW not in row
    for name in ("kl", "loss/total", "entropy", "lr", "grad_norm"):
        assert torch.isfinite(torch.tensor(row[name])), name
    after = parameters(trainer)
    assert all(torch.isfinite(value).all() for value in after.values())
    assert any(not torch.equal(after[name], value) for name, value in before.items())


def test_update_without_a_sound_minibatch_changes_no_weight_and_no_step_size(
    monkeypatch: pytest.MonkeyPatch,
):
    trainer = make_trainer("guard.on_nonfinite=skip", "algo.ppo.schedule=adaptive")
    poison(monkeypatch, range(4))
    before, rate = parameters(trainer), float(trainer.learner.learning_rate)
    assert trainer.iterate()[SKIPPED] == 4.0
    assert all(torch.equal(value, before[name]) for name, value in parameters(trainer).items())
    assert float(trainer.learner.learning_rate) == rate
    assert trainer.iterate()[SKIPPED] == 0.0


def test_too_many_in_a_row_stop_the_run_across_updates(monkeypatch: pytest.MonkeyPatch):
    trainer = make_trainer("guard.on_nonfinite=skip", "guard.max_skipped=5")
    poison(monkeypatch, range(1, 100))
    trainer.iterate()  # 3
    with pytest.raises(NonFiniteError, match=r"7 minibatches in a row .*guard\.max_skipped=5"):
        trainer.iterate()


def test_series_goes_on_after_a_resume(monkeypatch: pytest.MonkeyPatch):
    one, other = (make_trainer("guard.on_nonfinite=skip", "guard.max_skipped=5") for _ in "ab")
    with monkeypatch.context() as bad:
        poison(bad, range(100))
        one.iterate()
        other.load_state_dict(one.state_dict())
        with pytest.raises(NonFiniteError, match="8 minibatches in a row"):
            other.iterate()


def test_stop_is_the_default(monkeypatch: pytest.MonkeyPatch):
    trainer = make_trainer()
    poison(monkeypatch, range(1, 2))
    with pytest.raises(NonFiniteError, match="training diverged"):
        trainer.iterate()


@pytest.mark.parametrize("algo", ["pql", "rl_games_ppo", "pbt"])
def test_other_ways_of_training_refuse_to_skip(algo: str):
    with pytest.raises(ConfigError, match=r"guard\.on_nonfinite=skip"):
        validate(composed("task=ProbeReach", f"algo={algo}", "guard.on_nonfinite=skip"))
