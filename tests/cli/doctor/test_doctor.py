from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, List, Tuple

import pytest
from rich.console import Console

from epo import cores
from epo.__main__ import main as epo
from epo.cli.doctor import command, gpu, machine, tracking
from epo.cli.doctor.finding import BAD, OFF, OK, Finding, examine
from epo.config import ConfigError


def broken() -> Finding:
    raise OSError("no such device\nmore lines")


def fine() -> Finding:
    return Finding("disk", OK, "5 GB")


def test_check_that_fails_is_a_finding_and_the_others_still_run():
    findings = examine([broken, fine])
    assert [finding.state for finding in findings] == [BAD, OK]
    assert findings[0].name == "broken"
    assert findings[0].found == "OSError: no such device"


def test_more_cores_than_quota_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "cpu.max").write_text("200000 100000")
    monkeypatch.setattr(cores, "CGROUP", tmp_path)
    for granted, state in ((2, OK), (8, BAD)):
        monkeypatch.setattr(cores, "core_ids", lambda granted=granted: [*range(granted)])
        assert machine.cores().state == state
    assert "OMP_NUM_THREADS=2" in machine.cores().fix


@pytest.mark.parametrize(
    ("built_for", "capability", "runs"),
    [
        (["sm_80", "sm_90"], (9, 0), True),
        (["sm_80"], (8, 9), True),  # machine code runs on later minor versions
        (["sm_80"], (9, 0), False),
        (["sm_80", "compute_80"], (10, 0), True),  # PTX runs on all later ones
        (["sm_90"], (8, 0), False),
        (["sm_90a"], (9, 0), True),
        ([], (9, 0), False),
    ],
)
def test_code_for_a_gpu_is_recognised(
    built_for: List[str], capability: Tuple[int, int], runs: bool
):
    assert gpu.has_code(built_for, capability) == runs


def cuda(free_gb: float, built_for: List[str]) -> Any:
    """What torch tells of one H100."""
    return SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 1,
        get_device_capability=lambda index: (9, 0),
        mem_get_info=lambda index: (free_gb * 1e9, 80e9),
        get_device_name=lambda index: "H100",
        get_arch_list=lambda: built_for,
    )


@pytest.mark.parametrize(
    ("free_gb", "built_for", "state", "fix"),
    [
        (79.0, ["sm_90"], OK, ""),
        (40.0, ["sm_90"], BAD, "others use cuda:0"),
        (79.0, ["sm_70"], BAD, "no code for cuda:0"),
    ],
)
def test_gpu_that_is_busy_or_without_code_is_bad(
    monkeypatch: pytest.MonkeyPatch, free_gb: float, built_for: List[str], state: str, fix: str
):
    monkeypatch.setattr(gpu, "torch", SimpleNamespace(cuda=cuda(free_gb, built_for)))
    finding = gpu.gpus()
    assert finding.state == state
    assert fix in finding.fix
    assert "cuda:0 H100, sm_90" in finding.found


def test_old_driver_and_a_torch_that_cannot_use_it_are_bad(monkeypatch: pytest.MonkeyPatch):
    for version, state in (((12, 2), BAD), ((12, 4), OK), (None, OFF)):
        monkeypatch.setattr(gpu, "driver_version", lambda version=version: version)
        assert gpu.driver().state == state
    cpu_build = SimpleNamespace(
        __version__="2", version=SimpleNamespace(cuda=None), get_num_threads=lambda: 1
    )
    monkeypatch.setattr(gpu, "torch", cpu_build)
    assert gpu.torch_build().state == OK  # no GPU is there
    monkeypatch.setattr(gpu, "driver_version", lambda: (12, 4))
    assert gpu.torch_build().state == BAD


def test_login_to_wandb_is_found_in_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    util = SimpleNamespace(find_spec=lambda name: object())
    monkeypatch.setattr(tracking, "importlib", SimpleNamespace(util=util))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_BASE_URL", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert tracking.wandb().state == OFF
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password x\n")
    (tmp_path / "netrc").chmod(0o600)
    assert tracking.wandb().state == OK


def test_table_and_exit_code_say_what_has_to_be_fixed(monkeypatch: pytest.MonkeyPatch):
    output = io.StringIO()
    findings = [fine(), Finding("GPU [0]", BAD, "busy", "wait"), Finding("x", OFF, "none")]
    command.show(Console(file=output, width=80), findings)
    printed = output.getvalue()
    assert "GPU [0]" in printed and "1 to fix" in printed
    monkeypatch.setattr(command, "examine", lambda checks: findings)
    with pytest.raises(SystemExit) as end:
        epo(["doctor"])
    assert end.value.code == 1


def test_this_machine_as_json(capsys: pytest.CaptureFixture):
    try:
        epo(["doctor", "json=true"])
    except SystemExit as end:  # something here is bad, such as the load of these tests
        assert end.code == 1
    findings = json.loads(capsys.readouterr().out)
    names = [finding["name"] for finding in findings]
    for name in ("Python", "CPU cores", "disk", "torch", "GPU", "engine mujoco", "video"):
        assert name in names
    assert {finding["state"] for finding in findings} <= {OK, OFF, BAD}
    assert not [f for f in findings if "the check itself failed" in f["fix"]]
    assert all(finding["fix"] for finding in findings if finding["state"] == BAD)


def test_unknown_argument_is_refused():
    with pytest.raises(ConfigError, match="the only option is json=true"):
        epo(["doctor", "fast=true"])
