"""An offline run of W&B, read back: what would be uploaded, and nothing else."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from tests.integration.command import SMALL, train

pytestmark = pytest.mark.slow
BLOCK = 32768
HEADER = 7
"""Bytes of the header of a file, and of a chunk: checksum, length, type (LevelDB's log)."""


def records(path: Path) -> Iterator[Any]:
    """Read W&B's own file, record by record."""
    from wandb.proto.wandb_internal_pb2 import Record  # pyright: ignore

    data, at, whole = path.read_bytes(), HEADER, b""
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:  # padding
            at += BLOCK - at % BLOCK
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + HEADER])
        whole += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (1, 4):  # whole, or the last part of several
            record = Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def history(found: List[Any]) -> List[Dict[str, Any]]:
    return [
        {
            item.key or ".".join(item.nested_key): json.loads(item.value_json)
            for item in r.history.item
        }
        for r in found
        if r.WhichOneof("record_type") == "history"
    ]


def test_offline_run_has_one_axis_one_id_its_config_and_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_API_KEY", "f" * 40)
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = tmp_path / "run"
    command = [*SMALL, "algo=epo", "num_agents=4", "record.wandb=offline", "record.tags=[first]"]
    train([*command, f"run_dir={run}", "max_iterations=5"], tmp_path)
    train([*command, f"run_dir={run}", "max_iterations=8", "resume=auto"], tmp_path)
    paths = sorted(run.glob("wandb/offline-run-*/*.wandb"), key=os.path.getmtime)
    assert len(paths) == 2
    sessions = [list(records(path)) for path in paths]
    infos = [r.run for found in sessions for r in found if r.WhichOneof("record_type") == "run"]
    assert {info.run_id for info in infos} == {(run / "wandb_id.txt").read_text().strip()}
    assert infos[0].project == "epo" and list(infos[0].tags) == ["first"]
    config = {item.key: json.loads(item.value_json) for item in infos[0].config.update}
    assert config["num_envs"] == 64 and config["algo"]["name"] == "epo"
    # Frames are the only axis: 1,024 per iteration, over both sessions.
    rows = [row for found in sessions for row in history(found)]
    steps = [row["_step"] for row in rows if "leader/fitness" in row or "fps" in row]
    assert steps == [1024 * i for i in range(1, 9)]
    keys = {key for row in rows for key in row}
    assert {"leader/episode_return", "population/fitness_best", "generation/generation"} <= keys
    from launch.wandb.dashboard import SECTIONS

    shown = {key for panels in SECTIONS.values() for _, columns in panels for key in columns}
    of_this_task = shown - {"success_tolerance"}  # which ProbeReach has not
    assert of_this_task <= keys, sorted(of_this_task - keys)
    everything = b"".join(path.read_bytes() for path in run.rglob("*") if path.is_file())
    assert b"f" * 40 not in everything
