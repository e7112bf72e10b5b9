from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from epo.__main__ import main as epo
from epo.cli.export import command, formats
from epo.config import ConfigError
from epo.runner import checkpoint
from epo.runner.run_folder import RunFolder, as_plain
from epo.runner.trainer import build_model
from tasks import registry
from tests.composed import REPOSITORY, composed

SMALL = ("algo.network.lstm_units=8", "algo.network.mlp_units=[8]", "algo.network.gene_dim=4")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three agents with an LSTM and with statistics that matter."""
    cfg = composed(
        "task=ProbeReach", "algo=epo", "num_agents=3", "num_envs=6", "device=cpu", *SMALL
    )
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "run")
    folder.last.parent.mkdir(parents=True)
    folder.config.write_text(OmegaConf.to_yaml(OmegaConf.create(as_plain(cfg))))
    env = registry.make(cfg.task, cfg.engine, 3, torch.device("cpu"), 0, 3)
    model = build_model(cfg.algo, env, 3, seed=0)
    generator = torch.Generator().manual_seed(1)
    seen = 3.0 + 2.0 * torch.randn(50, env.spec.observation_dim, generator=generator)
    model.observation_normalizer.update(seen)
    checkpoint.save(folder.last, {"iteration": 1, "frames": 42, "model": model.state_dict()})
    return folder.path


def content(run: Path, name: str) -> Any:
    return json.loads((run / "export" / name).read_text())


def test_policy_of_one_agent_is_written_described_and_checked_again(
    run: Path, capsys: pytest.CaptureFixture
):
    epo(["export", str(run), "format=torchscript"])
    manifest = content(run, "last_agent2.pt.json")  # the leader
    assert [x["name"] for x in manifest["inputs"]] == ["observation", "hidden", "cell"]
    assert [x["name"] for x in manifest["outputs"]] == ["action", "next_hidden", "next_cell"]
    assert manifest["inputs"][1]["shape"] == ["batch", 8]
    assert manifest["parity"]["largest_difference"] <= 1e-5
    epo(["export", str(run), "format=torchscript", "check=true"])
    assert capsys.readouterr().out.count("the same actions as last.pt") == 2


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("onnxscript") is None, reason="needs onnxscript")
def test_gene_can_be_an_input_and_the_controller_needs_no_torch(run: Path):
    epo(["export", str(run), "agent=all"])
    manifest = content(run, "last_all.onnx.json")
    assert manifest["agent"] is None
    assert [x["name"] for x in manifest["inputs"]][-1] == "gene"
    assert np.load(run / "export" / "last_all_genes.npy").shape == (3, 4)

    path = REPOSITORY / "docs" / "examples" / "controller.py"
    assert "torch" not in path.read_text().partition('"""\n\n')[2]
    spec = importlib.util.spec_from_file_location("controller", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    policy = module.Policy(str(run / "export" / "last_all.onnx"))
    width = manifest["observation"][-1]["stop"]
    first, second = (policy.act(np.ones(width)) for _ in range(2))
    assert not np.allclose(first, second)  # it remembers
    policy.reset()
    assert np.array_equal(policy.act(np.ones(width)), first)


def test_file_of_other_weights_is_found_out(run: Path):
    epo(["export", str(run), "format=torchscript", "agent=0"])
    folder = run / "export"
    (folder / "last_agent0.pt").replace(folder / "last_agent1.pt")
    with pytest.raises(ConfigError, match="acts differently than the checkpoint"):
        epo(["export", str(run), "format=torchscript", "agent=1", "check=true"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["format=onxn"], "did you mean onnx"),
        (["format=torchscript", "agent=7"], "use leader, all, or indices from 0 to 2"),
        (["format=torchscript", "agent=0,1"], "name one, or all"),
        (["format=torchscript", "out=/proc/nowhere"], "choose another out=<folder>"),
        (["format=torch_export", "check=true"], "leave check out to write it"),
    ],
)
def test_bad_input_is_one_line(run: Path, words: list, message: str):
    with pytest.raises(ConfigError) as caught:
        epo(["export", str(run), *words])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_package_names_the_extra(run: Path, monkeypatch: pytest.MonkeyPatch):
    missing = formats.FORMATS["torchscript"]._replace(packages=("no_such_package",))
    monkeypatch.setitem(formats.FORMATS, "torchscript", missing)
    with pytest.raises(ConfigError, match="no_such_package is missing: pip install"):
        epo(["export", str(run), "format=torchscript"])


def test_run_without_a_shared_network_is_refused(run: Path, monkeypatch: pytest.MonkeyPatch):
    other = SimpleNamespace(state={"networks": {}}, settings={"algo": {"trainer": "pql"}})
    monkeypatch.setattr(command, "SavedRun", lambda path: other)
    with pytest.raises(ConfigError, match=r"of algo\.trainer=pql"):
        epo(["export", str(run), "format=torchscript"])
