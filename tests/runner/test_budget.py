from __future__ import annotations

import re

import torch

from epo.runner.budget import buffers, line
from tests.runner.test_trainer import Rows, make_trainer


def test_buffers_are_measured_by_name_and_once():
    trainer = make_trainer(Rows())
    sizes = buffers(trainer)
    rollout = trainer.collector.rollout
    horizon, num_envs, width = rollout.horizon, 16, trainer.env.spec.observation_dim
    assert sizes["collector.rollout.observation"] == 4 * (horizon + 1) * num_envs * width
    num_parameters = sum(p.numel() for p in trainer.model.parameters())
    # The learner refers to the same network: it is not counted again.
    networks = {name: size for name, size in sizes.items() if name.endswith(".parameters")}
    assert networks == {"model.parameters": 4 * num_parameters}
    assert not any(name.endswith(("gradients", "moments")) for name in sizes)
    trainer.iterate()
    sizes = buffers(trainer)
    # Adam's two moments of every number, and a step count for each of the tensors.
    num_tensors = len(list(trainer.model.parameters()))
    assert sizes["learner.optimizer.moments"] == 8 * num_parameters + 4 * num_tensors
    assert sizes["model.gradients"] == 4 * num_parameters
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)


def test_environments_are_no_buffer_of_the_learner():
    trainer = make_trainer(Rows())
    before = buffers(trainer)
    trainer.env.large = torch.zeros(1000)  # type: ignore[attr-defined]
    assert buffers(trainer) == before


def test_line_names_the_largest_buffers():
    assert re.match(
        r"buffers [\d.]+ KiB on cpu \(observation [\d.]+ KiB, \w+ [\d.]+ KiB, ",
        line(make_trainer(Rows())),
    )
