from __future__ import annotations

from pathlib import Path

import pytest

from epo.record.tensorboard import TensorBoard

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def scalars(run: Path, name: str) -> list:
    events = accumulator.EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def test_scalars_are_over_frames_and_missing_values_left_out(tmp_path: Path):
    sink = TensorBoard(tmp_path)
    sink.write(16, {"iteration": 1, "frames": 16, "kl": 0.5, "leader/fitness": float("nan")})
    sink.write(32, {"iteration": 2, "frames": 32, "kl": 0.25, "leader/fitness": 3.0})
    sink.generation({"iteration": 2, "frames": 32, "replaced": "[1]"})
    sink.close()
    assert scalars(tmp_path, "kl") == [(16, 0.5), (32, 0.25)]
    assert scalars(tmp_path, "leader/fitness") == [(32, 3.0)]


def test_resumed_run_hides_what_it_writes_again(tmp_path: Path):
    killed = TensorBoard(tmp_path)
    for frames in (16, 32, 48):
        killed.write(frames, {"frames": frames, "kl": 1.0})
    killed.close()
    resumed = TensorBoard(tmp_path, resumed_frames=16)
    resumed.write(32, {"frames": 32, "kl": 2.0})
    resumed.close()
    assert scalars(tmp_path, "kl") == [(16, 1.0), (32, 2.0)]
