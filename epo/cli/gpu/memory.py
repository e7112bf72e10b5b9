"""What a whole run takes of the device's memory, as JSON."""

from __future__ import annotations

import sys
import tempfile
from typing import Sequence

import torch

from epo.cli import environment
from epo.cli.bench.memory import peak_memory_mb
from epo.cli.bench.report import print_json
from epo.cli.compose import one_line_errors
from epo.record.recorder import Recorder
from epo.runner.run import make_loop

ITERATIONS = 3


def main(arguments: Sequence[str]) -> None:
    """Build a run, let it train for a few iterations and print the memory after each part."""
    environment.register()
    cfg, _ = environment.ready(environment.configurations(arguments)[0])
    device = torch.device(cfg.device)
    before = peak_memory_mb(device)
    env = environment.make_env(cfg)
    worlds = peak_memory_mb(device)
    with tempfile.TemporaryDirectory(prefix="epo-gpu-") as folder:
        cfg.run_dir = folder
        loop = make_loop(cfg, env, Recorder([]))
        for _ in range(ITERATIONS):
            loop.iterate()
    row = {
        "task": env.spec.name,
        "num_envs": env.spec.num_envs,
        "precision": cfg.precision,
        "before_mb": before,
        "with_worlds_mb": worlds,
        "peak_mb": peak_memory_mb(device),
    }
    if device.type == "cuda":
        row["torch_peak_mb"] = torch.cuda.max_memory_reserved(device) / 1e6
        row["total_mb"] = torch.cuda.get_device_properties(device).total_memory / 1e6
    print_json(**row)
    env.close()


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])
