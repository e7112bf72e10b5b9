"""A tour of jobs that take no time: what is remembered, what is repeated, what the page says."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import List

import pytest
import torch

from epo.__main__ import main as epo_main
from epo.cli.gpu import command, curve, page, parts, process
from epo.cli.gpu.ledger import DONE, FAILED, LATE, Ledger
from epo.cli.gpu.plan import Job, Step, steps
from epo.cli.gpu.run import measured
from epo.cli.gpu.tests import counts
from epo.config import ConfigError
from epo.runner.run_folder import RunFolder


def _job(name: str, code: str, **settings: object) -> Job:
    return Job(name, ("-c", code), 0.0)._replace(**settings)


ONE_ROW = "import json; print('noise'); print(json.dumps({'fps': 12345.6, 'task': 'Some'}))"


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> List[Step]:
    jobs = (_job("good", ONE_ROW), _job("bad", "raise SystemExit('error: x=1: no')"))
    found = [
        Step("run_some", "some run", jobs),
        Step("curve", "grows", (_job("curve", ONE_ROW, is_endless=True),)),
    ]
    monkeypatch.setattr(command, "steps", lambda device, folder: found)
    return found


def _gpu(folder: Path, *arguments: str) -> None:
    epo_main(["gpu", "device=cpu", f"results={folder}", *arguments])


def test_done_jobs_are_remembered_failed_and_endless_ones_repeated(plan, tmp_path: Path, capsys):
    _gpu(tmp_path)
    first = capsys.readouterr().out
    assert (
        "run_some/good: done" in first and "error: x=1: no" in first and "left: run_some" in first
    )
    ledger = Ledger(tmp_path)
    assert ledger.entry("run_some", "bad")["state"] == FAILED
    assert ledger.rows("run_some") == [{"job": "good", "fps": 12345.6, "task": "Some"}]
    # A later call repeats what failed.
    plan[0] = Step("run_some", "some run", (plan[0].jobs[0], _job("bad", ONE_ROW)))
    _gpu(tmp_path)
    second = capsys.readouterr().out
    assert "run_some/good: done before" in second and "curve/curve: done" in second
    assert "all done" in second
    text = (tmp_path / "README.md").read_text()
    assert "| Some | – | – | 12,346, – |" in text and "rehearsal" in text.lower()


def test_call_ends_when_its_time_is_over(plan, tmp_path: Path, capsys):
    plan[:] = [Step("run_some", "late", (_job("later", ONE_ROW, least_s=100.0),))]
    _gpu(tmp_path, "minutes=1")
    assert "left for the next call" in capsys.readouterr().out
    assert Ledger(tmp_path).entries("run_some") == {}


def test_job_is_ended_at_its_limit_with_all_that_it_started(tmp_path: Path):
    sign = tmp_path / "sign"
    child = f"import time; time.sleep(3); open({str(sign)!r}, 'w')"
    code = f"import subprocess, sys; subprocess.call([sys.executable, '-c', {child!r}])"
    begin = time.perf_counter()
    entry = process.run(_job("slow", code), 0.3, tmp_path / "compiled")
    assert entry["state"] == LATE and time.perf_counter() - begin < 3.0
    time.sleep(max(0.0, begin + 3.5 - time.perf_counter()))
    assert not sign.exists()


def test_programs_that_were_cut_off_are_not_found_by_the_next_call(tmp_path: Path):
    compiled = tmp_path / "compiled"
    (compiled / "ab").mkdir(parents=True)
    whole, cut = compiled / "whole.so", compiled / "ab" / "cut.so"
    whole.touch()
    os.utime(whole, (0.0, 0.0))
    where = "os.environ['TORCHINDUCTOR_CACHE_DIR']"
    code = f"import os, time; open({where} + '/ab/cut.so', 'w'); time.sleep(60)"
    entry = process.run(_job("slow", code), 1.0, compiled)
    assert entry["state"] == LATE and whole.exists() and not cut.exists()


def test_results_name_no_folder_of_this_machine(tmp_path: Path):
    code = f"print({str(process.CONFIG_DIR)!r}, {str(Path.home() / 'x')!r}); raise SystemExit(1)"
    entry = process.run(_job("fails", code), 20.0, tmp_path)
    assert entry["output"] == ["cfg ~/x"]
    assert str(Path(process.CONFIG_DIR).parent) not in entry["command"]


def test_job_does_not_outlive_a_call_that_is_ended(tmp_path: Path):
    pid = tmp_path / "pid"
    code = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"

    def end_soon() -> None:
        while not (pid.exists() and pid.read_text()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_soon, daemon=True).start()
    with pytest.raises(SystemExit) as ended:
        process.run(_job("slow", code), 60.0, tmp_path / "compiled")
    assert ended.value.code == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_page_shows_loads_beside_every_rate(tmp_path: Path):
    ledger = Ledger(tmp_path)
    row = {"num_envs": 8192, "env_steps_per_s": 123456.0, "overflow": 0, "bad_worlds": 2}
    row.update(contacts_mean=3.25, contacts_p95=6, contacts_max=9)
    line = {"task": "T", "settings": ["engine.graph=true"], "rows": [row]}
    ledger.write("bench_sim", "one_arm_8192", {"state": DONE, "seconds": 9.0, "rows": [line]})
    text = page.text(Ledger(tmp_path), steps("cuda", "."), "Title", "cuda")
    (found,) = [line for line in text.splitlines() if line.startswith("| T |")]
    assert "engine.graph=true" in found and "123,456" in found and "3.25, 6, 9" in found
    assert "- one_arm_4096: not run yet" in text


def test_curve_goes_on_where_the_code_knows_more_settings(tmp_path: Path):
    run = RunFolder(tmp_path / "curve")
    assert curve.resumed(run) == "resume=auto"
    run.last.parent.mkdir(parents=True)
    run.last.touch()
    assert curve.resumed(run) == f"resume={run.path}"


def test_curve_travels_in_parts_without_its_worlds(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(parts, "PART_BYTES", 1000)
    state = {"iteration": 7, "model": torch.arange(1000.0), "collector": torch.ones(10**6)}
    state["env"] = {"curriculum": {"tolerance": torch.tensor(0.07)}, "sim": torch.ones(10**6)}
    written = parts.write(tmp_path, "curve.pt", parts.slim(state))
    assert len(written) > 3 and all(part.stat().st_size <= 1000 for part in written)
    fresh = {"iteration": 1, "model": torch.zeros(1000), "collector": torch.zeros(3)}
    fresh["env"] = {"curriculum": {"tolerance": torch.tensor(0.1)}, "sim": torch.zeros(3)}
    found = parts.renewed(fresh, parts.read(tmp_path, "curve.pt"))
    assert found["iteration"] == 7 and torch.equal(found["model"], state["model"])
    assert found["env"]["curriculum"]["tolerance"] == torch.tensor(0.07)
    assert len(found["collector"]) == len(found["env"]["sim"]) == 3


def test_run_is_measured_without_its_first_iterations():
    row = {"frames": "0", "wall_s": "1", "sim_s": "1", "act_s": "1", "learn_s": "1"}
    rows = [{**row, "fps": str(fps), "frames": "40"} for fps in (1, 2, 3, 10, 30, 20)]
    assert measured(rows)["fps"] == 20.0
    with pytest.raises(ConfigError, match="no iteration"):
        measured([])


def test_outcome_of_pytest_is_read():
    assert counts("...\n1 failed, 3 passed, 2 skipped in 1.2s") == {
        "failed": 1,
        "passed": 3,
        "skipped": 2,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("step=bensh_sim", "step=bensh_sim: unknown; did you mean bench_sim"),
        ("minutes=0", "minutes=0.0: use a positive number"),
        ("device=cuda:99", "device=cuda:99: "),
        ("stop=all", "argument=stop=all: unknown; did you mean step"),
    ],
)
def test_bad_input_is_one_line(arguments: str, message: str, tmp_path: Path):
    with pytest.raises(ConfigError, match=message):
        epo_main(["gpu", f"results={tmp_path}", *arguments.split()])


def test_damaged_results_are_refused(tmp_path: Path):
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(ConfigError, match=r"results=.*is damaged; remove it"):
        _gpu(tmp_path)
