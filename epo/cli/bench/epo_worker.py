"""Our PPO timed on synthetic environments, an iteration whenever it is told to.

    python -m epo.cli.bench.epo_worker

The counterpart of `rl_games_worker`: a line of JSON on stdin says what to run, an answer that it is
ready; every further line is answered by an iteration, and the end of stdin ends it. What else is
printed goes to stderr. Started as a rank (`epo.world`), it runs them together with the others.
"""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import replace
from typing import Any, Dict, Iterator

import torch

from epo.cli.bench.learn import cases
from epo.cli.bench.learn_timing import opened
from epo.cli.bench.memory import own_peak_memory_mb
from epo.cli.bench.timing import elapsed_s
from epo.config.devices import rank_device
from epo.memory import keep_freed_memory
from epo.ranks.group import EXCHANGE, WAIT
from epo.ranks.join import joined
from epo.runner.provenance import versions
from epo.runner.trainer import Trainer
from epo.world import find_world, take_cores

TIMEOUT_S = 600.0
"""After which a rank that does not answer is given up, s."""
Job = Dict[str, Any]
Answer = Dict[str, Any]


def main() -> None:
    """Answer every line on stdin by a line of JSON on stdout."""
    stdout = sys.stdout
    world = find_world()
    if world is not None:
        take_cores(world)
    with contextlib.redirect_stdout(sys.stderr):
        for answer in answers(json.loads(sys.stdin.readline())):
            print(json.dumps(answer), file=stdout, flush=True)


def answers(job: Job) -> Iterator[Answer]:
    """Return what is run, as soon as it is ready, then an iteration for every line on stdin.

    Args:
        job: `settings` of `bench learn`, `done_probability`, `threads`.
    """
    torch.set_num_threads(job["threads"])
    keep_freed_memory()  # as a run does
    (case,) = cases(job["settings"], [job["done_probability"]])
    device = torch.device(rank_device(case.cfg))
    cfg = replace(case.cfg, device=str(device))
    with joined(device, TIMEOUT_S) as ranks, opened(cfg, case.done_probability, ranks) as bench:
        trainer = bench.loop
        assert isinstance(trainer, Trainer)
        steps = []
        trainer.learner.optimizer.register_step_post_hook(lambda *_: steps.append(None))
        parameters = trainer.model.parameters()
        work = {
            "num_parameters": sum(parameter.numel() for parameter in parameters),
            "samples": trainer.frames_per_iteration,
        }
        cfg = trainer.cfg
        yield {"precision": cfg.precision, "work": work, "versions": versions(cfg.device, {})}
        for _ in sys.stdin:
            steps.clear()
            yield {**iteration(trainer), "gradient_steps": len(steps)}


def iteration(trainer: Trainer) -> Answer:
    """Run an iteration and give its times, s, and the memory taken so far, MB."""
    iteration_s = elapsed_s(trainer.env.device, trainer.iterate)
    found = trainer.last_metrics
    return {
        "iteration_s": iteration_s,
        "rollout_s": found["act_s"] + found["sim_s"],
        "update_s": found["learn_s"],
        **{name: found[name] for name in (WAIT, EXCHANGE) if name in found},
        "peak_mem_mb": own_peak_memory_mb(trainer.env.device),
    }


if __name__ == "__main__":
    main()
