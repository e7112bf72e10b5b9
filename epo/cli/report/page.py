"""The page: sections of one run, the comparison of several, put into the template."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

import jinja2
import numpy as np

from epo import __version__
from epo.cli.plot.figure import PANELS
from epo.cli.plot.groups import grouped
from epo.cli.report import charts
from epo.cli.report.comparison import compare
from epo.cli.report.family import Life, children_summary, lives
from epo.cli.report.record import Record, read, settings
from epo.cli.report.selection import judge, summary
from epo.cli.study import text
from epo.config import ConfigError
from epo.quoting import short_path
from epo.record.progress import clock, short
from epo.validation import did_you_mean

MAX_LIVES = 300
"""Genes in the table of fates; the newest."""
HARDWARE = ("device", "cuda", "gpu", "cpu_cores_granted", "torch_threads", "platform")
LEARNING = ("kl", "entropy", "explained_variance", "lr", "importance/mean", "grad_norm")
"""Columns drawn beside the progress."""


def page(paths: Sequence[Path], metric: str, tick: Callable[[int], None]) -> str:
    """Write the page about runs.

    Args:
        paths: run folders.
        metric: column that groups are compared by.
        tick: told how many runs are done.

    Raises:
        ConfigError: if a run has no metrics, or none of them has the column.
    """
    records = []
    for i, path in enumerate(paths):
        records.append(read(path))
        tick(i)
    columns = list(dict.fromkeys(name for r in records for name in r.run.curves))
    if metric not in columns:
        hint = did_you_mean(metric, columns)
        raise ConfigError("metric", metric, f"no column of these runs{hint}")
    groups = grouped([record.run for record in records])
    runs = []
    for i, record in enumerate(records):
        runs.append(sections(record, f"run{i}"))
        tick(i + 1)
    content: Dict[str, Any] = {
        "title": _title(records),
        "version": __version__,
        "runs": runs,
        "is_single": len(records) == 1,
        "result": compare(groups, metric),
        "curves": charts.curves(groups, _panels(metric), "all"),
        "short": short,
    }
    return _template().render(content)


def sections(record: Record, name: str) -> Dict[str, Any]:
    """Draw and tabulate everything about one run.

    Args:
        record: the run.
        name: differs between the runs of a page.
    """
    (group,) = grouped([record.run])
    family, verdicts = lives(record.generations), []
    for generation in record.generations:
        verdict = judge(generation)
        verdicts += [verdict] if verdict is not None else []
    return {
        "name": name,
        "path": short_path(record.overview.path),
        "facts": _facts(record),
        "command": record.command,
        "settings": settings(record),
        "curves": charts.curves([group], PANELS, f"{name}-curves"),
        "learning": charts.curves([group], LEARNING, f"{name}-learning"),
        "heat_map": charts.heat_map(record, f"{name}-heat"),
        "tree": charts.tree(family, f"{name}-tree"),
        "children": children_summary(family) if family else "",
        "lives": _fates(family),
        "gene_map": charts.gene_map(record.genes, f"{name}-genes"),
        "coin_flips": charts.coin_flips(verdicts, f"{name}-coins"),
        "selection": summary(verdicts, len(record.generations)) if record.generations else "",
        "follower_share": charts.follower_share(record, f"{name}-share"),
        "warnings": record.warnings,
        "timing": charts.timing(record, f"{name}-time"),
        "shares": _time_shares(record),
        "hardware": [(key, record.versions[key]) for key in HARDWARE if key in record.versions],
        "versions": [(k, v) for k, v in record.versions.items() if k not in HARDWARE],
    }


def _facts(record: Record) -> List[Tuple[str, str]]:
    """Say in a few lines what the run is and how far it came."""
    seen, given = record.overview, record.run.settings
    fitness = [value for value in record.column("leader/fitness").tolist() if value == value]
    reached = "no episode has ended"
    if fitness:
        reached = f"{text.number(fitness[-1])} at the end, {text.number(max(fitness))} at best"
    return [
        ("task", seen.task),
        ("algorithm", seen.algo),
        ("agents × environments", f"{given.get('num_agents')} × {_per_agent(given)}"),
        ("seed", record.run.seed),
        ("state", seen.state + (f": {seen.error}" if seen.error else "")),
        ("frames", f"{short(seen.frames)} in {seen.iteration:,} iterations, {_time(seen.wall_s)}"),
        ("speed", f"{short(_fps(record))} frames/s over the whole run"),
        ("generations", str(len(record.generations))),
        ("leader's fitness", reached),
    ]


def _per_agent(given: Dict[str, Any]) -> str:
    try:
        return str(int(given["num_envs"]) // int(given["num_agents"]))
    except (KeyError, ValueError, TypeError, ZeroDivisionError):
        return "?"


def _fps(record: Record) -> float:
    seconds = sum(float(np.nansum(values)) for values in charts.time_parts(record).values())
    return record.overview.frames / seconds if seconds else float("nan")


def _fates(family: Sequence[Life]) -> List[Tuple[str, ...]]:
    """Tabulate the genes, the newest first."""
    rows = []
    for life in sorted(family, key=lambda life: -life.gene_id)[:MAX_LIVES]:
        parents = "first population" if life.parents is None else " × ".join(map(str, life.parents))
        peak = max((f for f in life.fitness.values() if f == f), default=float("nan"))
        who = (str(life.gene_id), str(life.agent), str(life.birth), parents)
        numbers = (life.predecessor, life.last_fitness, peak)
        rows.append((*who, *map(text.number, numbers), life.fate))
    return rows


def _time_shares(record: Record) -> List[Tuple[str, str, str]]:
    sums = {name: float(np.nansum(values)) for name, values in charts.time_parts(record).items()}
    total = sum(sums.values()) or float("nan")
    return [(name, _time(s), f"{100 * s / total:.0f} %") for name, s in sums.items()]


def _time(seconds: float) -> str:
    return clock(seconds) if math.isfinite(seconds) else text.UNKNOWN


def _panels(metric: str) -> List[str]:
    return list(dict.fromkeys([metric, *PANELS]))


def _title(records: Sequence[Record]) -> str:
    names = dict.fromkeys(f"{r.overview.task} · {r.overview.algo}" for r in records)
    count = f" ({len(records)} runs)" if len(records) > 1 else ""
    return ", ".join(names) + count


def _template() -> jinja2.Template:
    source = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    return jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        source
    )
