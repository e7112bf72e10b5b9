"""Genes as tables: who they are, how far apart, from whom, and what they reached."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Sequence

import torch
from rich.console import Console
from rich.table import Table

from epo.cli.eval.measure import Result
from epo.cli.eval.table import mean, percentage
from epo.record.csv import number, rows
from epo.record.names import agent_fitness
from epo.record.progress import short
from epo.runner.gene_bank import GeneBank
from epo.runner.saved_run import SavedRun

COLUMNS = ("agent", "gene", "born", "parents", "fitness", "length", "to leader", "nearest")


def show_list(saved: SavedRun, bank: GeneBank) -> None:
    """Print one row per agent."""
    distance = torch.cdist(bank.genes, bank.genes)  # [K, K]
    lineage, fitness = _lineage(saved), _fitness(saved, len(bank.genes))
    table = _table(*COLUMNS)
    for k, row in enumerate(distance):
        others = row.clone()
        others[k] = math.inf
        nearest = int(others.argmin())
        parents = lineage["parents"][k] if lineage else None
        table.add_row(
            f"{k} (leader)" if k == len(bank.genes) - 1 else str(k),
            str(lineage["ids"][k]) if lineage else "?",
            str(lineage["births"][k]) if lineage else "?",
            " x ".join(map(str, parents)) if parents else "-",
            "-" if math.isnan(fitness[k]) else f"{fitness[k]:.3g}",
            f"{float(bank.genes[k].norm()):.2f}",
            f"{float(row[-1]):.2f}",
            f"{nearest} ({float(others[nearest]):.2f})",
        )
    _print(saved, table)
    pairs = torch.pdist(bank.genes)
    least, middle = float(pairs.min()), float(pairs.mean())
    fresh = math.sqrt(2.0 * bank.genes.shape[1])
    spread = f"{middle:.2f} on average, {least:.2f} at least; {fresh:.2f} if fresh"
    Console().print(f"distance of two genes: {spread}", highlight=False, soft_wrap=True)


def show_distances(saved: SavedRun, bank: GeneBank) -> None:
    """Print the distances of all pairs of agents."""
    distance = torch.cdist(bank.genes, bank.genes)
    table = _table("agent", *map(str, range(len(bank.genes))))
    for k, row in enumerate(distance):
        table.add_row(
            str(k), *(f"{float(value):.2f}" if i != k else "." for i, value in enumerate(row))
        )
    _print(saved, table)


def show_lineage(saved: SavedRun, bank: GeneBank) -> None:
    """Print the ancestors of every living gene, as far as `generations.csv` knows them."""
    from epo.cli.report.family import lives
    from epo.cli.report.record import read_generations

    family = {life.gene_id: life for life in lives(read_generations(saved.folder.generations))}
    if not family:
        Console().print("no child was born: all genes are of the first population")
        return
    for life in family.values():
        if life.death is None:
            _print_ancestors(life.gene_id, family, f"agent {life.agent}: ", 0)


def show_results(names: Sequence[str], found: Sequence[Result]) -> None:
    """Print what mixtures reached without noise, with 95 % intervals."""
    table = _table("gene", "episodes", "return", "succeeded", "length")
    for name, result in zip(names, found):
        numbers = (
            mean(result.episode_return),
            percentage(result.success_rate),
            mean(result.length),
        )
        table.add_row(name, str(len(result.episodes)), *numbers)
    Console().print(table)


def _print_ancestors(gene_id: int, family: Dict[int, Any], prefix: str, depth: int) -> None:
    life = family[gene_id]
    known = "" if math.isnan(life.last_fitness) else f", fitness {life.last_fitness:.3g}"
    born = f"born in generation {life.birth}" if life.birth else "first population"
    Console().print(
        f"{'  ' * depth}{prefix}gene {gene_id}, {born}{known}", highlight=False, soft_wrap=True
    )
    for parent in dict.fromkeys(life.parents or ()):
        if depth < 3:
            _print_ancestors(parent, family, "from ", depth + 1)


def _lineage(saved: SavedRun) -> Dict[str, List[Any]]:
    evolution = saved.state.get("evolution")
    return evolution["lineage"] if isinstance(evolution, dict) else {}


def _fitness(saved: SavedRun, num_agents: int) -> List[float]:
    """Read the fitness of all agents at the checkpoint's iteration; NaN where unknown."""
    names = list(agent_fitness([0.0] * num_agents))
    for row in rows(saved.folder.metrics):
        if row.get("iteration") == str(saved.state["iteration"]):
            return [number(row.get(name, "")) for name in names]
    return [math.nan] * num_agents


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for i, name in enumerate(columns):
        table.add_column(
            name.replace("_", " "), justify="left" if i == 0 else "right", no_wrap=True
        )
    return table


def _print(saved: SavedRun, table: Table) -> None:
    console = Console()
    title = f"{saved.file}: {short(saved.state['frames'])} frames of training"
    console.print(title, highlight=False, markup=False, soft_wrap=True)
    console.print(table)
