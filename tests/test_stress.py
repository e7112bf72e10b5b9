"""The machinery behind docs/reliability.md; the experiments themselves run with `make stress`."""

from __future__ import annotations

import contextlib
import random
import re
from pathlib import Path

import pytest

from tests.composed import REPOSITORY
from tests.stress import overrides, page, soak
from tests.stress.__main__ import EXPERIMENTS
from tests.stress.checkpoints import ARGUMENTS, KINDS, carry_code
from tests.stress.command import Done, changes, contents
from tests.stress.experiment import Experiment, Outcome, Results


def outcome(case: int, commit: str = "a", fault: str = "") -> Outcome:
    return Outcome("kills", case, "label", fault=fault, result="held", commit=commit)


def test_finished_cases_are_remembered_for_their_commit(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl", "a")
    results.add(outcome(0, fault="broken"))
    results.add(outcome(0))
    results.add(outcome(1, commit="b"))
    again = Results(tmp_path / "results.jsonl", "a")
    assert again.of("kills") == [outcome(0)]
    assert not again.has("kills", 1)
    assert Results(tmp_path / "results.jsonl", None).has("kills", 1)


@pytest.mark.parametrize(
    ("code", "err", "fault"),
    [
        (0, "warning: disk\n", ""),
        (2, "error: seed=x is impossible\n", ""),
        (2, "error: a\nerror: b\n", "2 error lines"),
        (2, "usage: train.py\n", "without a line that says error"),
        (1, "Traceback (most recent call last):\nOSError: x\n", "traceback: OSError: x"),
        (-11, "", "killed by signal 11"),
        (None, "", "did not end in time"),
    ],
)
def test_end_of_a_command_is_judged(code, err: str, fault: str) -> None:
    found = Done(code, "", err).fault
    assert found.startswith(fault) if code != 2 else fault in found
    assert bool(found) == bool(fault)


def test_changed_added_and_removed_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("1")
    (tmp_path / "changed").write_text("1")
    (tmp_path / "removed").write_text("1")
    before = contents(tmp_path)
    (tmp_path / "changed").write_text("2")
    (tmp_path / "removed").unlink()
    (tmp_path / "folder").mkdir()
    assert changes(before, contents(tmp_path)) == "changed, folder, removed"


def test_slope_is_that_of_the_line_and_its_interval_covers_it() -> None:
    draw = random.Random(0)
    seconds = [2.0 * i for i in range(900)]
    steady = soak.slope(seconds, [300.0 + draw.gauss(0.0, 1.0) for _ in seconds])
    growing = soak.slope(seconds, [300.0 + s / 3600.0 * 50.0 + draw.gauss(0, 1) for s in seconds])
    assert abs(steady.per_hour) < steady.half_width < 5.0
    assert growing.per_hour == pytest.approx(50.0, abs=2.0 * growing.half_width)
    assert growing.per_hour - growing.half_width > soak.RSS_MB_PER_HOUR
    assert soak.slope(seconds, [7.0] * 900) == (0.0, 0.0, 7.0, 7.0)


def test_fuzzed_list_is_the_same_every_time() -> None:
    drawn = overrides.lines(0)
    assert drawn == overrides.lines(0)
    assert not any(line.startswith("run_dir=") for line in drawn)
    assert sum(weight for _, weight in overrides.MUTATIONS) == 100


@pytest.mark.parametrize("mutate", [mutate for mutate, _ in overrides.MUTATIONS])
def test_every_kind_of_mutation_draws_different_lines(mutate) -> None:
    names = {"seed": 0, "algo.ppo.gamma": 0.99, "compile": False, "max_minutes": None}
    assert len({mutate(random.Random(case), names) for case in range(30)}) > 5


def test_code_in_a_checkpoint_would_be_executed_by_a_careless_reader(tmp_path: Path) -> None:
    # Otherwise the experiment proves nothing.
    torch = pytest.importorskip("torch")
    for case in range(16):
        path, marker = tmp_path / "last.pt", tmp_path / f"executed{case}"
        torch.save({"state": {"iteration": 1}}, str(path))
        carry_code(path, random.Random(case), marker)
        with contextlib.suppress(RuntimeError):  # A bare pickle is no checkpoint, once it is read.
            torch.load(str(path), weights_only=False)
        assert marker.exists(), case
    assert sum(KINDS.values()) == 60 and any("max_iterations" in word for word in ARGUMENTS)


def test_page_says_what_ran_and_what_did_not(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl", "a")
    results.add(outcome(0))
    results.add(outcome(1, fault="a `traceback` | here"))
    kills = Experiment("kills", "It goes on.", "Kill it.", 30, lambda case, folder: outcome(case))
    page.write([kills, kills._replace(name="soak")], results, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert "| [kills](#kills) | 2 of 30 | 1 | a |" in text
    assert "1 of 2 held: 1 × held." in text
    assert "- case 1: a 'traceback' / here (`label`)" in text
    assert "Not run yet." in text


def test_every_promise_names_tests_that_exist_and_a_known_experiment() -> None:
    names = {experiment.name for experiment in EXPERIMENTS}
    for promise, tests, experiment in page.PROMISES:
        assert tests.split() and promise.endswith(".")
        for path in tests.split():
            assert (REPOSITORY / path).is_file(), path
        assert experiment in {*names, ""}
    assert {experiment for _, _, experiment in page.PROMISES} >= names


def test_tests_named_on_the_page_exist() -> None:
    text = (REPOSITORY / "docs/reliability.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)`", text)
    assert named
    assert [path for path in named if not (REPOSITORY / path).is_file()] == []
