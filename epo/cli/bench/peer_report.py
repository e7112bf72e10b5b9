"""What `bench peers` says: medians over the turns, and ratios within each turn."""

from __future__ import annotations

import statistics
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

from epo.cli.bench.peer_job import Comparison, Work
from epo.cli.bench.peer_process import REFERENCES
from epo.cli.bench.report import (
    Column,
    Row,
    number_column,
    print_table,
    rate_column,
    rate_fields,
    ratio_text,
)
from epo.cli.bench.result import print_result
from epo.cli.bench.timing import Rate

Turn = Dict[str, Row]
"""What one turn measured: peer -> row."""
COLUMNS = (
    Column("peer", lambda row: row["peer"]),
    rate_column("samples/s", "samples_per_s"),
    number_column("rollout s", "rollout_s", "{:.4g}"),
    number_column("update s", "update_s", "{:.4g}"),
    number_column("memory MB", "peak_mem_mb"),
    Column("ratio to rl_games", ratio_text),
)


class Measured(NamedTuple):
    """A comparison and its turns, the last one perhaps incomplete."""

    comparison: Comparison
    turns: List[Turn]


def report(measured: Sequence[Measured], machine: Mapping[str, Any]) -> None:
    """Print, for every comparison, the table, what the work was, and a line of JSON."""
    for comparison, turns in measured:
        rows = summary(turns)
        if not rows:
            continue
        settings = " ".join(comparison.settings)
        title = [comparison.spec.name, settings, machine["device_name"]]
        print_table(" · ".join([*title, f"{machine['threads']} threads"]), COLUMNS, rows)
        print(f"the same work: {work_text(comparison.work)}")
        print(
            "ratio: within a turn, to the way to run rl_games that is the fastest by its median\n"
        )
        print_result(
            "peers",
            machine["device"],
            comparison.settings,
            ("peer",),
            rows,
            **{name: value for name, value in machine.items() if not name.startswith("device")},
            task=comparison.spec.name,
            num_envs=comparison.spec.num_envs,
            horizon=comparison.cfg.algo.ppo.horizon,
            net=comparison.cfg.algo.network.kind,
            work=comparison.work,
        )


def summary(turns: Sequence[Turn]) -> List[Row]:
    """Return a row per peer: medians over the turns, least and greatest of rate and ratio."""
    peers = dict.fromkeys(peer for found in turns for peer in found)
    rows = []
    for peer in peers:
        found = [row[peer] for row in turns if peer in row]
        rates = [row["samples_per_s"] for row in found]
        medians = {
            name: statistics.median(row[name] for row in found)
            for name in ("rollout_s", "update_s", "peak_mem_mb")
        }
        rows.append(
            {
                "peer": peer,
                "precision": found[0]["precision"],
                **rate_fields("samples_per_s", spread(rates)),
                **medians,
                **rate_fields("ratio", spread(ratios(turns, peer))),
                "turns": rates,
                "versions": found[0]["versions"],
            }
        )
    return rows


def ratios(turns: Sequence[Turn], peer: str) -> List[float]:
    """Return the peer's rate over that of rl_games, of each complete turn.

    Of several ways to run rl_games it is the one with the best median: the best of each turn would
    be the luckiest of several measurements against one.
    """
    complete = [found for found in turns if len(found) == len(turns[0])]
    medians = {
        name: statistics.median(found[name]["samples_per_s"] for found in complete)
        for name in REFERENCES
        if name in complete[0]
    }
    if not medians:
        return []
    reference = max(medians, key=lambda name: medians[name])
    return [found[peer]["samples_per_s"] / found[reference]["samples_per_s"] for found in complete]


def spread(values: Sequence[float]) -> Any:
    """Return median, least and greatest; None of nothing."""
    return Rate(statistics.median(values), min(values), max(values)) if values else None


def work_text(work: Work) -> str:
    """Return what every iteration of either side consists of."""
    what = [
        f"{work['num_parameters']:,} parameters",
        f"{work['samples']:,} samples",
        f"{work['num_epochs']} epochs of {work['num_minibatches']} minibatches",
        f"{work['gradient_steps']} gradient steps",
    ]
    if work["sequence_length"] is not None:
        what.append(f"sequences of {work['sequence_length']}, memory cleared where episodes end")
    normalized = [name for name in ("observation", "value") if work[f"normalizes_{name}"]]
    what.append(f"normalised: {' and '.join(normalized) or 'nothing'}")
    return ", ".join(what)
