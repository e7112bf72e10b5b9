"""A checkpoint of several ranks is that of the whole run, for any number of ranks."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest
import torch

from epo.ranks import ALONE, Ranks
from epo.record.recorder import Recorder
from epo.runner import checkpoint
from epo.runner.seeds import rank_seed
from epo.runner.trainer import Trainer
from epo.runner.whole import is_dealt_anew, own, whole
from tasks.probes.config import ProbeCfg
from tasks.probes.env import make_probe
from tests.learner.small_run import small_cfg
from tests.ranks.threads import CPU, on_ranks, one_at_a_time
from tests.runner.small_config import small_config

K, N = 2, 24


def build(ranks: Ranks, state: Optional[Dict[str, Any]] = None) -> Trainer:
    """Return a run of this rank's own environments, at `state` of the whole."""
    cfg = small_config(algo=small_cfg("lstm"), num_agents=K, num_envs=N)
    with one_at_a_time:
        seed, num_here = rank_seed(0, ranks.rank), N // ranks.size
        env = make_probe(ProbeCfg(episode_length=4), num_here, CPU, seed, K)
        trainer = Trainer(cfg, env, Recorder([]), ranks)
    if state is not None:
        # Optimisers keep the tensors that they are given, and these ranks are threads.
        trainer.load_state_dict(copy.deepcopy(own(state, trainer.state_dict, K, ranks)))
    return trainer


def numbers(trainer: Trainer) -> Dict[str, Any]:
    """Return what two more iterations lead to."""
    trainer.iterate()
    trainer.iterate()
    return checkpoint.plain(trainer.state_dict())


def begin(ranks: Ranks) -> Any:
    """Return the whole state after two iterations, and this rank's own after two more."""
    trainer = build(ranks)
    trainer.iterate()
    trainer.iterate()
    state = copy.deepcopy(whole(trainer.state_dict(), ranks))
    return state, numbers(trainer)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the state of two ranks, by way of a file, and how they went on."""
    (state, first), (_, second) = on_ranks(2, begin)
    path = Path(tmp_path_factory.mktemp("whole")) / "last.pt"
    checkpoint.save(path, state)
    return checkpoint.load(path), [first, second]


def flat(state: Any, path: str = "") -> Dict[str, Any]:
    """Name every value but times."""
    if isinstance(state, dict):
        parts = [flat(value, f"{path}.{key}") for key, value in state.items() if key != "wall_s"]
        return {name: value for part in parts for name, value in part.items()}
    return {path: state}


def is_same(one: Any, other: Any) -> bool:
    return torch.equal(one, other) if torch.is_tensor(one) else one == other


def test_resume_on_as_many_ranks_equals_the_run_that_went_on(saved: Any):
    state, went_on = saved
    assert len(state["other_ranks"]) == 1 and not is_dealt_anew(state, on_ranks(2, lambda r: r)[0])
    for found, expected in zip(on_ranks(2, lambda r: numbers(build(r, state))), went_on):
        found, expected = flat(found), flat(expected)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert is_same(value, found[name]), name


@pytest.mark.parametrize("size", [1, 3])
def test_resume_on_another_number_of_ranks_deals_the_environments_anew(saved: Any, size: int):
    state, _ = saved

    def work(ranks: Ranks) -> Any:
        trainer = build(ranks, state)
        fitness = trainer.tracker.snapshot(ranks.sum)
        loaded = copy.deepcopy(trainer.state_dict())
        trainer.iterate()
        return fitness, loaded, trainer.model.log_std.detach(), trainer.frames

    found: List[Any] = [work(ALONE)] if size == 1 else on_ranks(size, work)
    before = on_ranks(2, lambda ranks: build(ranks, state).tracker.snapshot(ranks.sum))[0]
    for fitness, loaded, log_std, frames in found:
        # Networks, optimiser and what is known of the agents go on; episodes begin.
        for name, value in flat(state["learner"]).items():
            assert is_same(value, flat(loaded["learner"])[name]), name
        for one, other in zip(before, fitness):
            torch.testing.assert_close(one, other, equal_nan=True)
        assert loaded["collector"]["is_first"].all() and not loaded["tracker"]["length"].any()
        assert loaded["tracker"]["is_known"].shape == (N // size,)
        assert torch.equal(loaded["collector"]["generator"], state["collector"]["generator"])
        assert torch.equal(log_std, found[0][2]) and frames == state["frames"] + 6 * N
    streams = [part[1]["env"]["generator"] for part in found]
    assert all(not torch.equal(streams[0], other) for other in streams[1:])
