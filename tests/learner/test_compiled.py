"""The compiled objective: no graph breaks in an iteration, and the same numbers."""

from __future__ import annotations

import pytest
import torch

from epo.models import compiled
from epo.models.compiled import OLDEST_TORCH
from tests.learner.small_run import small_cfg, small_run

TORCH = tuple(int(number) for number in torch.__version__.split(".")[:2])


@pytest.mark.slow
@pytest.mark.skipif(TORCH < OLDEST_TORCH, reason="this torch cannot trace the LSTM")
@pytest.mark.parametrize("kind", ["lstm", "mlp"])
def test_compiled_population_trains_alike(monkeypatch, kind):
    # Traced and differentiated as for a device, but run as it is: no compiler is needed.
    monkeypatch.setattr(compiled, "BACKEND", "aot_eager")
    runs = [small_run(small_cfg(kind), num_agents=2, is_double=True) for _ in range(2)]
    runs[1].learner.objective.compile()
    for _ in range(2):
        expected, found = (run.iterate() for run in runs)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
        # Other coefficients, as PBT may choose them.
        for run in runs:
            run.learner.cfg.clip_eps *= 0.5
    assert runs[1].model.state_dict().keys() == runs[0].model.state_dict().keys()
