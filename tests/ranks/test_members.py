"""Members that are spread over ranks become what they become in one process."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import pytest
import torch

from epo.config import Config
from epo.envs import VecEnv
from epo.ranks import ALONE, Ranks
from epo.record.recorder import Recorder
from epo.runner import checkpoint
from epo.runner.guard import NonFiniteError
from epo.runner.pbt.process import PBT
from epo.runner.run_folder import RunFolder
from epo.runner.session import Session
from epo.runner.whole import env_of, own, whole
from tests.ranks.threads import DealtEnv, on_ranks, one_at_a_time
from tests.runner.pbt.runs import OpenProbe, Rows, config, make_env

P, N = 4, 16
EAGER = (
    *("algo.pbt.start_after_frames=32", "algo.pbt.initial_delay_frames=32"),
    "algo.pbt.mutation_rate=0.5",
    *("algo.ppo.num_minibatches=2", "algo.diagnostics.enabled=true"),
)
"""Nobody is protected for long; a comparison every second iteration."""
TIMES = {"wall_s", "fps", "sim_s", "learn_s", "act_s", "wait_s", "exchange_s"}


def dealt(cfg: Config, ranks: Ranks) -> VecEnv:
    """Build this rank's environments of those that one process would have."""
    return DealtEnv(make_env(cfg), 1, ranks)


def open_env(cfg: Config, ranks: Ranks) -> VecEnv:
    """Build environments that can restart a member and hold its level."""
    return OpenProbe(N // ranks.size)


def build(
    cfg: Config, ranks: Ranks, make: Callable[[Config, Ranks], VecEnv] = dealt, sink: Any = None
) -> PBT:
    with one_at_a_time:
        return PBT(cfg, make(cfg, ranks), Recorder([sink] if sink else []), ranks)


def compare(pbt: PBT) -> None:
    """Let the members of rank 1 be the better ones by far."""
    for books, value in zip(pbt.books.values(), (0.0, 1.0, 9.0, 10.0)):
        books.objective = books.best_seen = value
    pbt.compare()


def follow(cfg: Config, ranks: Ranks, num: int, lost: Any = ()) -> Dict[str, Any]:
    """Return what all members here are after every iteration, and what was recorded."""
    sink = Rows()
    pbt, states = build(cfg, ranks, sink=sink), []
    for i in range(num):
        for member in pbt.members:
            member.cfg.ppo.entropy_coef = math.nan if i == 2 and member.index in lost else 0.0
        pbt.iterate()
        if i == 3:
            compare(pbt)
        trained = {m.index: copy.deepcopy(m.state_dict()) for m in pbt.members}
        states.append((trained, copy.deepcopy(pbt.books)))
    return {"states": states, "rows": sink.metrics, "generations": sink.generations}


def flat(state: Any, path: str = "") -> Dict[str, Any]:
    if isinstance(state, dict):
        parts = [flat(value, f"{path}.{key}") for key, value in state.items()]
        return {name: value for part in parts for name, value in part.items()}
    return {path: state}


def differing(one: Any, other: Any) -> List[str]:
    """Name what is not equal bit for bit; NaN equals NaN."""
    one, other = flat(one), flat(other)
    assert one.keys() == other.keys()
    return [name for name, value in one.items() if repr(value) != repr(other[name])
            or (torch.is_tensor(value) and not torch.equal(value, other[name]))]  # fmt: skip


@pytest.mark.parametrize("lost", [(), (0, 1)], ids=["compared", "rescued"])
def test_two_ranks_equal_one_process_bit_for_bit(lost: Any):
    cfg = config(*EAGER)
    alone = follow(cfg, ALONE, 5, lost)
    parts = on_ranks(2, lambda ranks: follow(cfg, ranks, 5, lost))
    across = 0
    for row in alone["generations"]:
        (member,), (parent,) = json.loads(row["replaced"]), json.loads(row["parents"])
        across += member // 2 != parent // 2
    assert across > 1  # rescued, or copied from better ones
    for i, (trained, books) in enumerate(alone["states"]):
        for index, state in trained.items():
            assert not differing(state, parts[index // 2]["states"][i][0][index])
        assert all(repr(part["states"][i][1]) == repr(books) for part in parts)
    assert all(part["generations"] == alone["generations"] for part in parts)
    for expected, first, second in zip(alone["rows"], *(part["rows"] for part in parts)):
        assert {"wait_s", "exchange_s"} == first.keys() - expected.keys()
        for name in expected.keys() - TIMES:
            assert first[name] == pytest.approx(expected[name], rel=1e-6, nan_ok=True), name
            assert repr(first[name]) == repr(second[name]), name


def test_all_members_lost_end_all_ranks():
    cfg = config()

    def work(ranks: Ranks) -> str:
        pbt = build(cfg, ranks)
        for member in pbt.members:
            member.cfg.ppo.entropy_coef = math.nan
        with pytest.raises(NonFiniteError) as caught:
            pbt.iterate()
        return str(caught.value)

    first, second = on_ranks(2, work)
    assert "loss/total=nan" in first and first == second


def resumed(cfg: Config, ranks: Ranks, state: Optional[Dict[str, Any]] = None) -> PBT:
    pbt = build(cfg, ranks, open_env)
    if state is not None:
        # Optimisers keep the tensors that they are given, and these ranks are threads.
        pbt.load_state_dict(copy.deepcopy(own(state, pbt.state_dict, P, ranks)))
    return pbt


def iterated(pbt: PBT, num: int) -> Any:
    for _ in range(num):
        pbt.iterate()
    state = checkpoint.plain(pbt.state_dict())
    return {name: value for name, value in state.items() if name != "wall_s"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the whole state of two ranks after 5 iterations, and how each went on."""
    cfg = config(*EAGER)

    def work(ranks: Ranks) -> Any:
        pbt = resumed(cfg, ranks)
        pbt.member_env.level += 10.0 * ranks.rank  # pyright: ignore
        iterated(pbt, 3)
        compare(pbt)
        iterated(pbt, 2)
        state = copy.deepcopy(whole(pbt.state_dict(), ranks))
        return state, iterated(pbt, 4)

    (state, first), (_, second) = on_ranks(2, work)
    path = Path(tmp_path_factory.mktemp("members")) / "last.pt"
    checkpoint.save(path, state)
    return checkpoint.load(path), [first, second]


def test_resume_on_as_many_ranks_equals_the_run_that_went_on(saved: Any):
    state, went_on = saved
    assert len(state["members"]) == P and len(state["other_ranks"]) == 1
    found = on_ranks(2, lambda ranks: iterated(resumed(config(*EAGER), ranks, state), 4))
    for part, expected in zip(found, went_on):
        assert not differing(part, expected)


@pytest.mark.parametrize("size", [1, 4])
def test_resume_on_another_number_of_ranks_deals_the_members_anew(saved: Any, size: int):
    state, _ = saved
    cfg = config(*EAGER)

    def work(ranks: Ranks) -> Any:
        pbt = resumed(cfg, ranks, state)
        fitness = pbt.tracker.snapshot(pbt.of_all)
        loaded = copy.deepcopy(pbt.state_dict())
        again = whole(loaded, ranks)
        pbt.iterate()
        return fitness, loaded, again, pbt.last_metrics

    found: List[Any] = [work(ALONE)] if size == 1 else on_ranks(size, work)
    before = on_ranks(2, lambda r: (p := resumed(cfg, r, state)).tracker.snapshot(p.of_all))[0]
    # Members, their levels and books, and what is known of them go on; episodes begin.
    members = [member for _, loaded, _, _ in found for member in loaded["members"]]
    assert not differing(dict(enumerate(members)), dict(enumerate(state["members"])))
    assert all(float(m["env"]["level"]) in (10.0, 11.0) for m in members)  # copied by 0 and 1
    assert not differing(found[0][2]["model"], state["model"])
    for fitness, loaded, _, metrics in found:
        for one, other in zip(before, fitness):
            assert torch.equal(one.nan_to_num(), other.nan_to_num())
        assert loaded["collector"]["is_first"].all() and not loaded["tracker"]["length"].any()
        assert metrics["generation"] == found[0][3]["generation"] >= state["generation"]


def test_the_level_of_a_member_is_that_of_its_rank(saved: Any):
    state, _ = saved
    assert env_of(state, 1) == (state["env"], 1)
    assert env_of(state, 2) == (state["other_ranks"][0]["env"], 0)


def test_rank_0_saves_the_leader_of_another_rank(tmp_path: Path):
    never = "algo.pbt.initial_delay_frames=1000000"
    cfg = config("max_iterations=10", f"run_dir={tmp_path}", never)

    def work(ranks: Ranks) -> Any:
        pbt = build(cfg, ranks)
        look = pbt.look

        def led_by_3(snapshot: Any) -> None:
            look(snapshot)
            pbt.books[3].objective = 1e3

        pbt.look = led_by_3  # type: ignore[method-assign]
        folder = RunFolder(tmp_path)
        folder.last.parent.mkdir(parents=True, exist_ok=True)
        code = Session(pbt, folder, Recorder([])).run()
        return code, checkpoint.plain(pbt.members[-1].model.state_dict()), pbt.leader_id

    (code, _, leader), (other, weights, _) = on_ranks(2, work)
    assert (code, other, leader) == (0, 0, 3)
    folder = RunFolder(tmp_path)
    for path in (folder.best, folder.last):
        assert not differing(checkpoint.load(path)["model"], weights)
    assert len(checkpoint.load(folder.last)["members"]) == P
