from __future__ import annotations

import torch

from tasks.allegro_kuka import curriculum
from tasks.allegro_kuka.config import CurriculumCfg
from tests.golden import golden

CPU = torch.device("cpu")


def test_functions_equal_original() -> None:
    data = {
        key[9:]: torch.from_numpy(value)
        for key, value in golden("allegro_kuka_functions.npz").items()
        if key.startswith("function_")
    }
    rows = 0
    for interval in data["interval"].unique().tolist():
        for target in data["target_tolerance"].unique().tolist():
            case = (data["interval"] == interval) & (data["target_tolerance"] == target)
            at = {key: value[case] for key, value in data.items()}
            rows += int(case.sum())
            cfg = CurriculumCfg(interval_steps=int(interval), target_tolerance_m=target)
            tolerance, last_change = curriculum.tighten(
                at["tolerance"], at["steps"], at["last_update"], at["mean_successes"], cfg
            )
            # Both are float64 Python arithmetic in the original.
            torch.testing.assert_close(tolerance, at["new_tolerance"], rtol=1e-12, atol=0)
            assert torch.equal(last_change, at["new_last_update"])
            objective = curriculum.objective(at["successes"], at["tolerance"].clamp(max=0.075), cfg)
            torch.testing.assert_close(objective, at["objective"], rtol=1e-5, atol=1e-5)
    assert rows == 600


def test_tolerance_reaches_its_floor_at_the_20th_change() -> None:
    cfg = CurriculumCfg(interval_steps=3000)
    data = golden("allegro_kuka_functions.npz")
    state = curriculum.begin(cfg, CPU)
    trace = []
    for step in range(1, 69001):
        if step % 3000 > 0:  # nothing can change between intervals
            state = state._replace(steps=torch.tensor(step))
            continue
        state = curriculum.advance(state, torch.tensor(3.0), cfg)
        trace.append((step, float(state.tolerance)))
    assert [step for step, _ in trace] == data["trace_step"].tolist()
    torch.testing.assert_close(
        [tolerance for _, tolerance in trace], data["trace_tolerance"].tolist(), rtol=1e-9, atol=0
    )
    assert trace[18][1] > 0.01
    assert trace[19][1] == 0.01


def test_tolerance_waits_for_interval_and_successes() -> None:
    cfg = CurriculumCfg(interval_steps=2)
    state = curriculum.begin(cfg, CPU)
    tolerances = []
    for mean in (9.0, 2.9, 3.0, 9.0, 9.0):
        state = curriculum.advance(state, torch.tensor(mean), cfg)
        tolerances.append(round(float(state.tolerance), 6))
    # Step 1: too early. 2: too few successes. 3: due. 4: too early again. 5: due.
    assert tolerances == [0.075, 0.075, 0.0675, 0.0675, 0.06075]


def test_objective_counts_successes_fully_at_the_end_of_the_curriculum() -> None:
    cfg = CurriculumCfg()
    seven = torch.tensor([7.0])
    wide, narrow = torch.tensor([0.075, 0.01], dtype=torch.float64)
    at = [curriculum.objective(seven, tolerance, cfg) for tolerance in (wide, narrow)]
    # 0.01 x 7 + 0, then 7 + 1
    torch.testing.assert_close(torch.cat(at), torch.tensor([0.07, 8.0]))
    fixed = CurriculumCfg(target_tolerance_m=0.075)
    assert curriculum.objective(seven, wide, fixed).tolist() == [8.0]
