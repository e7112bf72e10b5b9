"""What every run of a campaign gets of this machine."""

from __future__ import annotations

from epo.cores import granted_cores
from launch.paper.start import shares


def test_runs_on_gpus_share_the_cores():
    assert shares(["cpu"]) == [{"CUDA_VISIBLE_DEVICES": ""}]
    threads = str(max(1, granted_cores() // 2))
    assert shares(["0", "3"]) == [
        {"CUDA_VISIBLE_DEVICES": gpu, "OMP_NUM_THREADS": threads} for gpu in ("0", "3")
    ]
