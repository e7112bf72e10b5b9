"""Every command of the plan is one that would start: for a GPU, and for the rehearsal."""

from __future__ import annotations

from typing import List

import pytest

from epo.cli import environment
from epo.cli.arguments import split
from epo.cli.bench import learn, peers, sim
from epo.cli.bench.variants import variants
from epo.cli.gpu.curve import CurveOptions
from epo.cli.gpu.parity import ParityOptions
from epo.cli.gpu.plan import MINUTES, Job, steps
from epo.cli.gpu.run import RunOptions


def _jobs(device: str, begin: str) -> List[Job]:
    found = [job for step in steps(device, "out") for job in step.jobs]
    return [job for job in found if " ".join(job.arguments).startswith(begin)]


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_jobs_have_names_of_their_own_and_arguments_without_blanks(device: str):
    for step in steps(device, "out"):
        names = [job.name for job in step.jobs]
        assert len(set(names)) == len(names) > 0
        assert all(word for job in step.jobs for word in job.arguments)


def test_physics_is_measured_for_both_robots_three_sizes_and_with_graph_or_without():
    found = [job.arguments for job in _jobs("cuda", "-m epo bench sim")]
    assert all("engine.graph=true,false" in words for words in found)
    cells = {tuple(word for word in words if word[:4] in ("task", "num_")) for words in found}
    assert len(cells) == len(found) == 6
    compared = variants(split(found[0][4:], sim.SimOptions())[1])
    assert [variant.cfg.engine.graph for variant in compared] == [True, False]


def test_learner_is_measured_in_both_precisions_compiled_or_not():
    found = [job.arguments for job in _jobs("cuda", "-m epo bench learn")]
    assert {words[-2:] for words in found} == {
        (f"precision={precision}", f"compile={is_compiled}")
        for precision in ("fp32", "bf16")
        for is_compiled in ("false", "true")
    }
    (one,) = variants(split(found[0][4:], learn.LearnOptions())[1])
    assert (one.cfg.num_envs, one.cfg.algo.num_agents) == (24_576, 64)


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_benches_and_runs_take_their_settings(device: str):
    environment.register()
    learned = split(_jobs(device, "-m epo bench learn")[0].arguments[4:], learn.LearnOptions())[1]
    assert variants(learned, before=learn.BEFORE, after=())
    for job in _jobs(device, "-m epo bench peers"):
        options, _ = split(job.arguments[4:], peers.PeersOptions())
        peers.check(options)
    for module, own in (
        ("run", RunOptions()),
        ("curve", CurveOptions()),
        ("memory", RunOptions()),
        ("parity", ParityOptions()),
    ):
        found = _jobs(device, f"-m epo.cli.gpu.{module}")
        assert found
        words = [word.replace(MINUTES, "1") for word in found[0].arguments[2:]]
        assert environment.configurations(split(words, own)[1])
