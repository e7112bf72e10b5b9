"""`python -m epo bench main`: a whole run, and what its iterations consist of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from epo.__main__ import main as epo_main
from epo.config import ConfigError

SMALL = [
    *("task=ProbeReach", "algo=epo", "num_agents=2", "num_envs=16", "device=cpu"),
    *("algo.network.kind=mlp", "algo.network.mlp_units=[8]", "algo.ppo.num_minibatches=2"),
    *("record.tensorboard=false", "warm_up=1", "repetitions=3"),
]


def test_whole_job_is_timed_in_parts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    epo_main(["bench", "main", *SMALL, "seed=1,2"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    found = [json.loads(line) for line in lines]
    assert [result["settings"][-1] for result in found] == ["seed=1", "seed=2"]
    for result in found:
        (row,) = result["rows"]
        assert result["bench"] == "main" and row["repetitions"] == 3
        assert row["frames_per_s_min"] <= row["frames_per_s"] <= row["frames_per_s_max"]
        shares = [row[f"{part}_share"] for part in ("sim", "act", "learn", "rest")]
        # Medians of parts need not add up to the median of the whole; they come near.
        assert min(shares) > 0 and sum(shares) == pytest.approx(1.0, abs=0.3)
        assert row["checkpoint_s"] > 0 and row["set_up_s"] > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["repetitions=0"], "repetitions=0: use at least 1"),
        (["task=Foo"], "task=Foo: there is no such task"),
    ],
)
def test_bad_input_is_one_line(words: list, message: str):
    with pytest.raises(ConfigError, match=message):
        epo_main(["bench", "main", *words])
