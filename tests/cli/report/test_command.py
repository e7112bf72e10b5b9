from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Dict, List

import pytest

from epo.__main__ import main as epo
from epo.config import ConfigError
from epo.record.csv import GenerationsCsv, GenesCsv, MetricsCsv

CONFIG = """\
task: {{name: SparseReach}}
algo: {{name: {algo}, aggregation: {{ratio: 1.0}}}}
engine: {{name: none}}
seed: {seed}
num_agents: 3
num_envs: 6
tag: <script>
"""


def make_run(folder: Path, algo: str, seed: int) -> Path:
    """Write a run of four iterations, three agents and two generations."""
    folder.mkdir()
    (folder / "config.yaml").write_text(CONFIG.format(algo=algo, seed=seed))
    (folder / "versions.json").write_text('{"device": "cpu: of a test", "torch": "2.4"}')
    (folder / "warnings.csv").write_text(
        "iteration,frames,rule,title,evidence,suggestion\n3,30,H9,too <wild>,because,less\n"
    )
    metrics, generations, genes = MetricsCsv(folder), GenerationsCsv(folder), GenesCsv(folder)
    for i in range(1, 5):
        numbers = {"iteration": i, "frames": 10 * i, "fps": 10.0, "sim_s": 0.5, "learn_s": 0.2}
        numbers.update({"act_s": 0.1, "importance/ess": 0.5, "leader/episode_return": seed + i})
        numbers.update({f"agent_fitness/{k:02d}": float(i + k) for k in range(3)})
        metrics.write(10 * i, numbers)
        genes.append(gene_row(i))
    for number, (child, parents) in enumerate([(3, [[1, 2]]), (4, [[0, 2]])], start=1):
        row: Dict[str, Any] = {"iteration": number, "frames": 10 * number, "generation": number}
        row.update({"replaced": "[0]", "parents": json.dumps(parents), "child_ids": f"[{child}]"})
        row.update({"fitness": "[0.0, 1.0, 2.0]", "standard_error": "[0.1, 0.1, 0.1]"})
        generations.generation(row)
    for table in (metrics, generations, genes):
        table.close()
    return folder


def gene_row(i: int) -> dict:
    values = [[0.1 * i * k, 1.0 - k, 0.5 * i] for k in range(3)]
    row = {"iteration": i, "frames": 10 * i, "generation": 0, "ids": "[0, 1, 2]"}
    return {**row, "fitness": "[NaN, 1.0, 2.0]", "genes": json.dumps(values)}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page about one run."""
    root = tmp_path_factory.mktemp("report")
    run = make_run(root / "run", "epo", 0)
    epo(["report", str(run)])
    return (run / "report.html").read_text(encoding="utf-8")


def headings(page: str) -> List[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def test_page_has_every_section_with_its_chart(page: str):
    charts = {
        part.partition("</h2>")[0]: part.count("<svg")
        for part in page.partition("</style>")[2].split("<h2>")[1:]
    }
    assert charts == {
        "The run": 0,
        "Curves": 1,
        "Fitness of the population": 1,
        "Selection: signal or coin flip": 1,
        "Lineage": 1,
        "Map of the genes": 1,
        "What the leader learns from followers": 1,
        "Health": 0,
        "Time and hardware": 1,
    }
    assert "cpu: of a test" in page
    assert "2 children were born; 1 of them live, 1 became parents." in page


def test_page_needs_no_network(page: str):
    links = re.findall(r"(?:src|href)=\"([^\"]*)\"", page)
    assert links and all(link.startswith(("#", "data:")) for link in links)
    assert "@import" not in page and "url(http" not in page and "<script" not in page


def test_text_of_a_run_is_no_markup(page: str):
    assert "too &lt;wild&gt;" in page and "&lt;script&gt;" in page


@pytest.mark.slow
def test_groups_are_compared_with_the_first(tmp_path: Path):
    names = [("epo", 0), ("epo", 1), ("ppo", 5), ("ppo", 6)]
    runs = [make_run(tmp_path / f"{algo}{seed}", algo, seed) for algo, seed in names]
    for run in runs:
        (run / "genes.csv").unlink()
        (run / "generations.csv").unlink()
    epo(["report", *map(str, runs), f"out={tmp_path}/a.html"])
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    # The last tenth of 40 frames is the last iteration: seed + 4.
    assert "<td>epo (2 seeds)</td><td>2</td><td>4.50 [4.00, 5.00]</td><td>4.000, 5.000</td>" in page
    # Means 4.5 and 9.5, variances 0.5: t = -5 / sqrt(0.5) = -7.07 at 2 degrees of freedom.
    assert "ppo (2 seeds) is significantly higher than epo (2 seeds) (Holm p = 0.0194" in page
    assert page.count('<details class="run">') == 4
    assert "No generation has happened." in page and "or did not record them" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{root}/nowhere"], "run=.*there is no metrics.csv"),
        (
            ["{root}/run", "metric=leader/episode_retur"],
            "no column .*did you mean leader/epi",
        ),
        (["{root}/run", "out={root}/a.pdf"], "out=.*must end in .html"),
        (["{root}/run", "out={root}/no/a.html"], "out=.*cannot be written"),
        (["{root}/run", "--open"], "argument=--open: unknown"),
        (["metric=kl"], "run=.none.: name a run folder"),
    ],
)
def test_wrong_arguments_are_one_clear_line(words: List[str], message: str, tmp_path: Path):
    run = make_run(tmp_path / "run", "epo", 0)
    for name in ("genes.csv", "generations.csv"):
        (run / name).unlink()
    with pytest.raises(ConfigError, match=message):
        epo(["report", *(word.format(root=tmp_path) for word in words)])
