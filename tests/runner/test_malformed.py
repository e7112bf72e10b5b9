"""Damaged files of a run: one line and nothing changed, or set aside and the run goes on."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any, Callable, Dict

import pytest
import torch

from epo.cli import diagnose
from epo.cli.plot import groups
from epo.config import ConfigError
from epo.record.csv import GenerationsCsv, MetricsCsv, rows
from epo.record.health import HealthWarnings, read_targets
from epo.runner import checkpoint, provenance
from epo.runner.run_folder import RunFolder
from epo.runner.saved_run import SavedRun
from epo.runner.start import RunStart, find_start
from tests.runner.levels import read_level
from tests.runner.small_config import small_config

STATE: Dict[str, Any] = {"iteration": 4, "frames": 64, "wall_s": 1.0, "model": {}}


def pickled(content: Any) -> bytes:
    """Return a file of torch that is whole, whatever is in it."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def saved(**changes: Any) -> bytes:
    """Return a checkpoint whose content is changed; None: left out."""
    content = {"format": checkpoint.FORMAT, "version": checkpoint.VERSION, "state": STATE}
    content.update(changes)
    return pickled({name: value for name, value in content.items() if value != "absent"})


CHECKPOINTS = {
    "empty": b"",
    "text": b"no checkpoint",
    "a list": pickled([1, 2]),
    "None": pickled(None),
    "a tensor": pickled(torch.zeros(3)),
    "without version": saved(version="absent"),
    "version of a wrong type": saved(version=[1]),
    "without state": saved(state="absent"),
    "state is a list": saved(state=[1]),
    "state is None": saved(state=None),
    "state is a number": saved(state=3.0),
    "without iteration": saved(state={"frames": 64}),
    "iteration is text": saved(state={**STATE, "iteration": "4"}),
    "iteration is negative": saved(state={**STATE, "iteration": -4}),
    "iteration is a tensor": saved(state={**STATE, "iteration": torch.tensor(4)}),
    "frames is None": saved(state={**STATE, "frames": None}),
    "wall_s is a list": saved(state={**STATE, "wall_s": [1.0]}),
    "wall_s is infinite": saved(state={**STATE, "wall_s": float("inf")}),
    "weights are not finite": saved(state={**STATE, "model": {"w": torch.tensor([float("nan")])}}),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """A run of four iterations that ended by itself."""
    folder = RunFolder(tmp_path_factory.mktemp("template") / "run")
    folder.begin(small_config())
    folder.lock.release()
    metrics, generations = MetricsCsv(folder.path), GenerationsCsv(folder.path)
    for i in range(1, 5):
        metrics.write(16 * i, {"iteration": i, "frames": 16 * i, "kl": 0.5})
        generations.generation({"iteration": i, "frames": 16 * i, "replaced": [1]})
    metrics.close()
    generations.close()
    folder.save_last(STATE, keep=2)
    folder.write_summary("interrupted", 4, 64, 1.0, 0.0, {"kl": 0.5})
    return folder.path


@pytest.fixture
def run(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setattr(provenance, "git_state", lambda: None)
    monkeypatch.setattr(provenance, "versions", lambda device, extra: {})
    shutil.copytree(template, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def contents(root: Path) -> Dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def resume(folder: RunFolder) -> RunStart:
    """Go on as far as the first iteration."""
    cfg = small_config(resume=str(folder.path))
    start = find_start(cfg)
    start.load()
    start.begin(cfg, {})
    HealthWarnings(folder.path, cfg.record.health, read_targets({}))
    sink = MetricsCsv(folder.path)
    sink.write(80, {"iteration": 5, "frames": 80, "kl": 0.5})
    sink.close()
    start.folder.lock.release()
    return start


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_damaged_checkpoint_is_one_line_and_nothing_changes(kind: str, run: RunFolder):
    run.last.write_bytes(CHECKPOINTS[kind])
    before = contents(run.path)
    with pytest.raises(ConfigError, match=r"checkpoint=.*last\.pt: ") as caught:
        resume(run)
    assert "\n" not in str(caught.value)
    assert contents(run.path) == before


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_damaged_checkpoint_is_passed_over_for_the_one_before(kind: str, run: RunFolder, capsys):
    shutil.copy(run.last, run.last.with_name("last-1.pt"))
    run.last.write_bytes(CHECKPOINTS[kind])
    assert resume(run).iteration == 4
    assert checkpoint.load(run.last)["iteration"] == 4
    aside = run.last.with_name("last.pt.damaged-1")
    assert aside.read_bytes() == CHECKPOINTS[kind]
    assert "instead, iteration 4" in capsys.readouterr().err


def replace(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda run: (run / name).write_bytes(content) and None  # type: ignore[return-value]


def folder(name: str) -> Callable[[Path], None]:
    def make(run: Path) -> None:
        (run / name).unlink()
        (run / name).mkdir()
        (run / name / "inside").touch()

    return make


def edit(name: str, old: bytes, new: bytes) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        content = (run / name).read_bytes()
        assert old in content
        (run / name).write_bytes(content.replace(old, new))

    return change


# Damage -> what is said about it; rows that are left before the fifth.
SIDE_FILES = {
    "metrics: text in a number": (edit("metrics.csv", b"3,48,", b"3,forty,"), "", 4),
    "metrics: text for the iteration": (edit("metrics.csv", b"3,48,", b"x,48,"), "1 of 4 rows", 3),
    "metrics: not UTF-8": (edit("metrics.csv", b"3,48,", b"3,\xff48,"), "1 of 4 rows", 3),
    "metrics: NUL": (edit("metrics.csv", b"3,48,", b"3,\x0048,"), "1 of 4 rows", 3),
    "metrics: a stray quote": (edit("metrics.csv", b"3,48,", b'3,"48,'), "1 of 4 rows", 3),
    "metrics: a line too short": (edit("metrics.csv", b"3,48,", b"3,48\n"), "1 of 4 rows", 3),
    "metrics: a folder": (folder("metrics.csv"), "set aside as metrics.csv.damaged-1", 0),
    "metrics: header not UTF-8": (edit("metrics.csv", b"iteration", b"\xff"), "set aside as", 0),
    "metrics: no header": (edit("metrics.csv", b"iteration", b"1"), "set aside as", 0),
    "metrics: empty": (replace("metrics.csv", b""), "4 of 4 rows are missing", 0),
    "metrics: binary": (replace("metrics.csv", bytes(range(256)) * 99), "set aside as", 0),
    "metrics: ends early": (edit("metrics.csv", b"4,64,", b""), "1 of 4 rows are missing", 3),
    "generations: a folder": (folder("generations.csv"), "generations.csv.damaged-1", 4),
    "generations: text": (replace("generations.csv", b"a\nb\n"), "generations.csv.damaged-1", 4),
    "generations: not UTF-8": (edit("generations.csv", b"3,48", b"\xff,48"), "", 4),
    "config: a list": (replace("config.yaml", b"- 1\n- 2\n"), "settings are not compared", 4),
    "config: text": (replace("config.yaml", b"hello\n"), "settings are not compared", 4),
    "config: empty": (replace("config.yaml", b""), "settings are not compared", 4),
    "config: broken": (replace("config.yaml", b"a: ["), "settings are not compared", 4),
    "config: not UTF-8": (replace("config.yaml", b"a: \xff"), "settings are not compared", 4),
    "config: a folder": (folder("config.yaml"), "config.yaml.damaged-1", 4),
    "summary: null": (replace("summary.json", b"null"), "", 4),
    "summary: a list": (replace("summary.json", b"[1]"), "", 4),
    "summary: partial": (replace("summary.json", b'{"status": "finished"}'), "", 4),
    "summary: torn": (replace("summary.json", b'{"status": "fin'), "", 4),
    "summary: wrong types": (
        replace("summary.json", json.dumps({"status": "finished", "frames": "x"}).encode()),
        "",
        4,
    ),
    "summary: a folder": (folder("summary.json"), "summary.json.damaged-1", 4),
    "command: a folder": (folder("command.txt"), "command.txt.damaged-1", 4),
    "versions: a folder": (folder("versions.json"), "versions.json.damaged-1", 4),
    "tensorboard: a file": (replace("tensorboard", b"x"), "tensorboard.damaged-1", 4),
    "order: text": (replace(".order", b"x"), "", 4),
    "order: a folder": (folder(".order"), ".order.damaged-1", 4),
}


@pytest.mark.parametrize("kind", SIDE_FILES)
def test_run_goes_on_beside_a_damaged_file(kind: str, run: RunFolder, capsys):
    damage, said, num_rows = SIDE_FILES[kind]
    damage(run.path)
    resume(run)
    err = capsys.readouterr().err
    assert said in err and (said or "warning" not in err)
    left = [int(row["iteration"]) for row in rows(run.metrics)]
    assert left[-1] == 5 and len(left) == num_rows + 1
    assert (run.read_config() or {})["num_envs"] == 4


@pytest.mark.parametrize("kind", SIDE_FILES)
def test_readers_take_or_refuse_a_damaged_file_in_one_line(kind: str, run: RunFolder):
    SIDE_FILES[kind][0](run.path)
    for read in (
        lambda: diagnose.diagnose(run.metrics),
        lambda: groups.read_run(run.path, "frames", ["kl"], False),
        lambda: read_level(SavedRun(run.path)),
        run.read_summary,
    ):
        assert "\n" not in outcome(read)


def outcome(read: Callable[[], Any]) -> str:
    """Return the refusal, or nothing."""
    try:
        read()
    except ConfigError as error:
        return str(error)
    return ""


def test_lock_that_is_a_folder_is_one_line(run: RunFolder):
    folder(".lock")(run.path)
    with pytest.raises(ConfigError, match=r"run_dir=.*cannot be written .its \.lock is a folder"):
        resume(run)
