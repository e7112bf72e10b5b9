"""Impossible settings are refused by name, and `auto` becomes what the machine offers."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any, Dict

import pytest

import epo.validation
from epo.config import Config, ConfigError
from epo.models import precision
from epo.validation import did_you_mean, get, resolve, validate
from tests.composed import composed
from tests.stand_in import replace_in

IMPOSSIBLE = [
    ({"num_agents": 0}, "num_agents=0: use a whole number of at least 1, or auto"),
    ({"num_agents": 2.5}, r"num_agents=2\.5: use a whole number"),
    ({"num_agents": True}, "num_agents=True: use a whole number"),
    ({"num_agents": "many"}, "num_agents=many: use a whole number"),
    ({"num_envs": -4}, "num_envs=-4: use a whole number"),
    ({"num_agents": 7, "num_envs": 100}, r"num_envs=100: 7 agents need equal .* use 98 or 105"),
    ({"num_agents": 7, "num_envs": 3}, r"num_envs=3: 7 agents .* use 7$"),
    ({"algo.ppo.minibatch_size": 40}, r"minibatch_size=40: .* a multiple of algo.ppo.horizon=16"),
    # 64 environments and a copy of one, 16 steps each: 1,040 samples.
    (
        {"num_envs": 64, "algo.ppo.minibatch_size": 2048},
        r"minibatch_size=2048: larger than the batch; use at most 1040$",
    ),
    (
        {"num_agents": 1, "num_envs": 1, "algo.ppo.horizon": 1},
        "horizon=1: a batch of one sample has no spread; use at least 2, or more num_envs",
    ),
    ({"num_envs": 64, "algo.ppo.num_minibatches": 65}, r"num_minibatches=65: .* num_envs=64"),
    ({"algo.aggregation.mode": "leader"}, "mode=leader: unknown; did you mean leader_follower"),
    ({"algo.network.kind": "gru"}, r"kind=gru: unknown \(choices: lstm, mlp\)"),
    ({"algo.network.mlp_units": []}, r"mlp_units=\[\]: give widths"),
    ({"algo.network.mlp_units": [64, 0]}, r"mlp_units=\[64, 0\]: give widths"),
    (
        {"algo.network.initial_log_std": math.inf},
        "initial_log_std=inf: use a number from -50 to 50",
    ),
    ({"algo.ppo.gamma": 1.01}, r"gamma=1\.01: use a number from 0 to 1"),
    ({"algo.ppo.gamma": math.nan}, "gamma=nan: use a number from 0 to 1"),
    ({"algo.ppo.clip_eps": 0.0}, r"clip_eps=0\.0: use a positive number"),
    ({"algo.ppo.horizon": 0}, "horizon=0: use at least 1"),
    ({"algo.ppo.decay_frames": 1000}, r"decay_frames=1000: .* algo\.ppo\.schedule=adaptive; use"),
    ({"algo.ppo.learning_rate": 0.1}, r"learning_rate=0\.1: .* to max_learning_rate=0\.01"),
    ({"algo.ppo.entropy_coef": -1.0}, r"entropy_coef=-1\.0: use 0 or more"),
    ({"algo.evolution.trigger": "never"}, r"algo\.evolution\.trigger=never"),
    ({"algo.evolution.num_elites": 63}, r"algo\.evolution\.num_elites=63 of num_agents=64"),
    ({"seed": -1}, "seed=-1: use 0 or more"),
    ({"device": "gpu"}, "device=gpu: unknown; use auto, cpu, cuda"),
    ({"device": "cuda:x"}, "device=cuda:x: unknown"),
    ({"max_frames": 0}, "max_frames=0: use at least 1"),
    ({"max_minutes": -1.0}, r"max_minutes=-1\.0: use a positive number"),
    ({"resume": "/no/such/run"}, "resume=/no/such/run: there is no such run folder"),
    ({"checkpoint": "/no/such.pt"}, r"checkpoint=/no/such\.pt: there is no such file"),
]


def changed(cfg: Config, settings: Dict[str, Any]) -> Config:
    """Set dotted settings to values of any type."""
    for name, value in settings.items():
        owner, _, field = name.rpartition(".")
        setattr(get(cfg, owner) if owner else cfg, field, value)
    return cfg


@pytest.mark.parametrize(("settings", "message"), IMPOSSIBLE, ids=lambda item: str(item)[:40])
def test_validate_names_setting_value_and_way_out(settings: Dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        validate(changed(composed("algo=epo"), settings))


def test_agents_of_an_algorithm_without_population_are_refused():
    message = "num_agents=4: algo=ppo has no population; use algo=sapg or algo=epo"
    with pytest.raises(ConfigError, match=message):
        validate(composed("algo=ppo", "num_agents=4"))


def test_validate_accepts_one_agent_of_every_algorithm():
    for algo in ("ppo", "sapg", "epo", "epo_official"):
        validate(composed(f"algo={algo}", "num_agents=1"))


def test_validate_accepts_sapg_without_aggregation_as_an_ablation():
    validate(composed("algo=sapg", "algo.aggregation.mode=none"))


def test_run_dir_below_a_file_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    cfg = composed(f"run_dir={tmp_path}/file/run")
    with pytest.raises(ConfigError, match=r"run_dir=.*/file/run: .* is not a folder; choose"):
        validate(cfg)


def test_read_only_run_dir_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # chmod does not stop root, which tests in containers are.
    replace_in(epo.validation, "os.access", lambda path, mode: False, monkeypatch)
    with pytest.raises(ConfigError, match="is read-only; choose another run_dir"):
        validate(composed(f"run_dir={tmp_path}/new/run"))


@pytest.mark.parametrize(
    ("cores", "num_agents", "expected"),
    [
        (4, 1, 512),  # 128 x 4
        (4, 6, 510),  # 85 blocks of 6
        (4, 64, 512),
        (1, 200, 200),  # never less than one environment per agent
        (1000, 64, 24_576),  # 128,000 is more than published
    ],
)
def test_auto_num_envs_on_cpu_fits_cores_and_agents(monkeypatch, cores, num_agents, expected):
    monkeypatch.setattr(epo.validation, "granted_cores", lambda: cores)
    words = ("algo=sapg", "device=cpu", "precision=fp32", f"num_agents={num_agents}")
    cfg, choices = resolve(composed(*words))
    assert cfg.num_envs == expected
    assert choices == [f"num_envs={expected} (auto: {cores} CPU cores)"]


@pytest.mark.parametrize("is_supported", [False, True])
def test_auto_precision_is_what_the_processor_can(monkeypatch, is_supported: bool):
    monkeypatch.setattr(precision, "supports_bf16", lambda device: is_supported)
    cfg, choices = resolve(composed("algo=sapg", "device=cpu", "num_agents=2", "num_envs=4"))
    assert cfg.precision == ("bf16" if is_supported else "fp32")
    assert [line.partition(" ")[0] for line in choices] == ["precision=bf16"] * is_supported


def test_auto_on_cuda_is_the_published_setting(monkeypatch):
    monkeypatch.setattr(epo.validation, "_num_cuda_devices", lambda: 1)
    cfg, choices = resolve(composed("algo=epo"))
    assert (cfg.device, cfg.num_agents, cfg.num_envs) == ("cuda", 64, 24_576)
    assert [line.partition(" ")[0] for line in choices] == [
        "device=cuda",
        "num_agents=64",
        "num_envs=24576",
    ]


def test_auto_device_is_one_that_the_engine_runs_on(monkeypatch):
    monkeypatch.setattr(epo.validation, "_num_cuda_devices", lambda: 1)
    cfg, choices = resolve(composed("algo=epo", "num_envs=64"), devices=("cpu",))
    assert cfg.device == "cpu" and choices[0] == "device=cpu (auto: the engine's)"
    with pytest.raises(ConfigError, match=r"device=cuda: engine=auto runs on cpu; use device=cpu"):
        resolve(composed("device=cuda"), devices=("cpu",))


def test_resolve_changes_a_copy(monkeypatch):
    monkeypatch.setattr(epo.validation, "_num_cuda_devices", lambda: 0)
    cfg = composed("algo=ppo")
    before = copy.deepcopy(cfg)
    resolved, _ = resolve(cfg)
    assert cfg == before
    assert (resolved.device, resolved.num_agents) == ("cpu", 1)


@pytest.mark.parametrize(
    ("device", "num_devices", "message"),
    [
        ("cuda", 0, "device=cuda: torch sees no CUDA device here; use device=cpu"),
        ("cuda:3", 2, "device=cuda:3: there are 2; use cuda:0 to cuda:1"),
    ],
)
def test_absent_cuda_device_is_refused(monkeypatch, device, num_devices, message):
    monkeypatch.setattr(epo.validation, "_num_cuda_devices", lambda: num_devices)
    with pytest.raises(ConfigError, match=message):
        resolve(composed(f"device={device}"))


@pytest.mark.parametrize(("device", "name"), [("cpu", "CXX"), ("cuda", "CC")])
def test_compile_without_a_compiler_is_refused(monkeypatch, device: str, name: str):
    monkeypatch.setattr(epo.validation, "_num_cuda_devices", lambda: 1)
    monkeypatch.setenv("PATH", "")
    for variable in ("CXX", "CC"):
        monkeypatch.delenv(variable, raising=False)
    cfg = composed("algo=ppo", f"device={device}", "num_envs=64", "compile=true")
    with pytest.raises(ConfigError, match=rf"compile=true: .*install g\+\+.*{name}, or use"):
        resolve(cfg)
    resolve(composed("algo=ppo", f"device={device}", "num_envs=64"))


def test_resolve_refuses_minibatches_that_the_chosen_batch_cannot_fill(monkeypatch):
    monkeypatch.setattr(epo.validation, "granted_cores", lambda: 1)
    with pytest.raises(ConfigError, match=r"num_minibatches=200: .* num_envs=128"):
        resolve(composed("algo=ppo", "device=cpu", "algo.ppo.num_minibatches=200"))


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("algo.ppo.gama", "; did you mean algo.ppo.gamma?"),
        ("ppo.gama", "; did you mean algo.ppo.gamma?"),
        ("num_env", "; did you mean num_envs?"),
        ("zzz", ""),
    ],
)
def test_did_you_mean_finds_the_nearest_name(word: str, hint: str):
    assert did_you_mean(word, ["algo", "algo.ppo", "algo.ppo.gamma", "num_envs", "seed"]) == hint


def test_get_reads_dotted_names():
    assert get(composed("algo.ppo.gamma=0.5"), "algo.ppo.gamma") == 0.5


@pytest.mark.parametrize(("task", "expected"), [("ProbeValue", False), ("Gymnasium", True)])
@pytest.mark.parametrize("asked", ["null", "true", "false"])
def test_time_limits_are_bootstrapped_where_the_task_hides_the_clock(
    task: str, expected: bool, asked: str
):
    cfg = composed(f"task={task}", "algo=ppo", f"algo.ppo.bootstrap_truncated={asked}")
    resolved, choices = resolve(cfg, ("cpu",))
    is_auto = asked == "null"
    assert resolved.algo.ppo.bootstrap_truncated is (expected if is_auto else asked == "true")
    said = "algo.ppo.bootstrap_truncated=true (auto: the clock is not observed)"
    assert (said in choices) is (is_auto and expected)
