from __future__ import annotations

import re
from pathlib import Path
from typing import List

import pytest
import torch
from omegaconf import OmegaConf

from epo.__main__ import main as epo
from epo.cli.genes.command import mixed
from epo.config import ConfigError
from epo.runner import checkpoint, gene_bank
from epo.runner.gene_bank import GeneBank
from epo.runner.run_folder import RunFolder, as_plain
from tests.composed import composed
from tests.runner.test_trainer import Rows, make_trainer

SMALL = ["task=ProbeReach", "algo=epo", "num_agents=4", "num_envs=16", "device=cpu"]
SMALL += ["algo.network.kind=mlp", "algo.network.mlp_units=[8]", "task.episode_length=7"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four agents after one iteration."""
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "run")
    folder.last.parent.mkdir(parents=True)
    folder.config.write_text(OmegaConf.to_yaml(OmegaConf.create(as_plain(composed(*SMALL)))))
    trainer = make_trainer(Rows())
    trainer.iterate()
    checkpoint.save(folder.last, trainer.state_dict())
    return folder.path


def genes_of(run: Path) -> torch.Tensor:
    return checkpoint.load(RunFolder(run).last)["model"]["gene"]


def test_list_has_a_row_per_agent(run: Path, capsys: pytest.CaptureFixture):
    epo(["genes", str(run)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:6]] == ["0", "1", "2", "3"]
    genes = genes_of(run)
    length, to_leader = float(genes[0].norm()), float((genes[0] - genes[3]).norm())
    assert f"{length:.2f}" in lines[2].split() and f"{to_leader:.2f}" in lines[2].split()
    epo(["genes", str(run), "show=distances"])
    assert f"{float((genes[1] - genes[2]).norm()):.2f}" in capsys.readouterr().out
    epo(["genes", str(run), "show=lineage"])
    assert "no child was born" in capsys.readouterr().out


def test_mixture_is_the_weighted_mean_of_genes_and_noise():
    bank = GeneBank(torch.tensor([[0.0, 4.0], [2.0, 0.0]]), torch.tensor([[-1.0], [1.0]]))
    found = mixed(bank, [0, 1], [1.0, 0.25])
    assert found.genes.tolist() == [[0.0, 4.0], [1.5, 1.0]]
    assert found.log_std.tolist() == [[-1.0], [0.5]]


def test_child_is_evaluated_beside_its_parents(run: Path, capsys: pytest.CaptureFixture):
    epo(["genes", str(run), "cross=0,leader", "share=0.25", "episodes=5"])
    printed = capsys.readouterr().out
    assert re.findall(r"^(agent \d|child, .*? x \d \+ .*? x \d) +5 ", printed, re.M) == [
        "agent 0",
        "child, 0.25 x 0 + 0.75 x 3",
        "agent 3",
    ]


def test_path_between_two_agents_is_measured(run: Path, capsys: pytest.CaptureFixture):
    epo(["genes", str(run), "interpolate=1,2", "steps=3", "video=null", "episodes=4"])
    printed = capsys.readouterr().out
    assert [line.split("  ")[0] for line in printed.splitlines()[1:]] == [
        "agent 1",
        "0.50 x 1 + 0.50 x 2",
        "agent 2",
    ]


def test_exported_genes_begin_a_new_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    pytest.importorskip("safetensors")
    out = tmp_path / "bank.safetensors"
    epo(["genes", str(run), "export=all", f"out={out}"])
    assert "4 genes of 32 numbers" in capsys.readouterr().out
    new = make_trainer(Rows(), "seed=9")
    assert new.model.gene is not None and not torch.equal(new.model.gene, genes_of(run))
    gene_bank.transplant(new, out)
    assert torch.equal(new.model.gene, genes_of(run))
    assert torch.equal(new.model.log_std, checkpoint.load(RunFolder(run).last)["model"]["log_std"])
    epo(["genes", str(run), "export=leader", f"out={out}"])
    assert torch.equal(gene_bank.load(out).genes[0], genes_of(run)[3])


def test_genes_that_do_not_fit_are_refused(run: Path, tmp_path: Path):
    pytest.importorskip("safetensors")
    out = tmp_path / "bank.safetensors"
    epo(["genes", str(run), "export=0,1", f"out={out}"])
    with pytest.raises(ConfigError, match="holds 2 genes, this run has 4 agents; use num_agents=2"):
        gene_bank.transplant(make_trainer(Rows()), out)
    epo(["genes", str(run), "export=all", f"out={out}"])
    with pytest.raises(ConfigError, match=r"32 long, here 5; use algo\.network\.gene_dim=32"):
        gene_bank.transplant(make_trainer(Rows(), "algo.network.gene_dim=5"), out)
    with pytest.raises(ConfigError, match="have no genes"):
        alone = make_trainer(Rows(), "algo=ppo", "num_agents=1")
        gene_bank.transplant(alone, out)
    out.write_bytes(b"something else")
    with pytest.raises(ConfigError, match=r"genes=.*no file of genes"):
        gene_bank.load(out)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{run}/nowhere"], "checkpoint=.*there is no such file or folder"),
        (["{run}", "show=distance"], "show=distance: use list, .*did you mean distances"),
        (["{run}", "cross=0,4"], "cross=0,4: use two different agents from 0 to 3"),
        (["{run}", "cross=1,1"], "cross=1,1: use two different agents"),
        (["{run}", "interpolate=1"], "interpolate=1: use two different agents"),
        (["{run}", "cross=0,1", "export=all"], "export=all: not together with cross"),
        (["{run}", "export=7"], "export=7: use leader, all, or indices from 0 to 3"),
        (["{run}", "export=all", "out=a.pt"], "out=a.pt: its name must end in .safetensors"),
        (["{run}", "interpolate=0,1", "steps=1"], "steps=1: use a whole number from 2 to 16"),
        (["{run}", "interpolate=0,1", "video=a.txt"], "video=a.txt"),
        ([], "usage"),
    ],
)
def test_wrong_arguments_are_one_clear_line(words: List[str], message: str, run: Path, capsys):
    if not words:
        epo(["genes"])
        assert capsys.readouterr().out.startswith("usage: python -m epo genes RUN")
        return
    with pytest.raises(ConfigError, match=message):
        epo(["genes", *(word.format(run=run) for word in words)])


def test_run_without_genes_says_so(tmp_path: Path):
    folder = RunFolder(tmp_path / "run")
    folder.last.parent.mkdir(parents=True)
    cfg = composed("task=ProbeReach", "algo=ppo", "num_envs=4", "device=cpu")
    folder.config.write_text(OmegaConf.to_yaml(OmegaConf.create(as_plain(cfg))))
    checkpoint.save(folder.last, {"iteration": 1, "frames": 1, "model": {}})
    with pytest.raises(ConfigError, match=r"run=.*its agents have no genes"):
        epo(["genes", str(folder.path)])
