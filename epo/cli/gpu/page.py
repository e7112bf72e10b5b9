"""The page about a device: tables of everything that was measured so far."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from epo.cli.gpu.ledger import DONE, Ledger
from epo.cli.gpu.plan import Step

HEAD = """# {title}

Written by `make gpu{device}`; numbers of every job, commands and versions: `results.json`.
A step that is not finished continues with the next call.
"""
REHEARSAL = """**A rehearsal on a CPU at toy sizes: every command runs, no number means anything.**
"""


class Table(NamedTuple):
    """Columns of a step's table: a header, and the names of the entries that it shows."""

    columns: Tuple[Tuple[str, Tuple[str, ...]], ...]


LOAD = ("mean", "p95", "max")
TABLES: Dict[str, Table] = {
    "tests": Table(tuple((name, (name,)) for name in ("passed", "failed", "errors", "skipped"))),
    "parity": Table(
        (
            ("task", ("parity",)),
            ("worlds", ("num_envs",)),
            ("control steps", ("steps",)),
            ("joints, rad: median, most", ("joint_pos_median", "joint_pos_max")),
            ("object, m: median, most", ("object_pose_median", "object_pose_max")),
        )
    ),
    "memory": Table(
        (
            ("task", ("task",)),
            ("worlds", ("num_envs",)),
            ("before, MB", ("before_mb",)),
            ("with worlds", ("with_worlds_mb",)),
            ("whole run", ("peak_mb",)),
            ("of", ("total_mb",)),
        )
    ),
    "bench_sim": Table(
        (
            ("task", ("task",)),
            ("worlds", ("num_envs",)),
            ("settings", ("differs",)),
            ("physics steps/s", ("physics_steps_per_s",)),
            ("whole task steps/s", ("env_steps_per_s",)),
            ("physics, task, reset", ("physics_share", "task_share", "reset_share")),
            ("contacts: mean, p95, most", tuple(f"contacts_{what}" for what in LOAD)),
            ("rows: mean, p95, most", tuple(f"rows_{what}" for what in LOAD)),
            ("overflow", ("overflow",)),
            ("bad worlds", ("bad_worlds",)),
            ("set-up, s", ("construct_s",)),
            ("memory, MB", ("peak_mem_mb",)),
        )
    ),
    "bench_learn": Table(
        (
            ("row", ("job",)),
            ("samples/s", ("samples_per_s",)),
            ("trained samples/s", ("trained_samples_per_s",)),
            ("iteration, s", ("iteration_s",)),
            ("rollout, s", ("rollout_s",)),
            ("update, s", ("update_s",)),
            ("memory, MB", ("peak_mem_mb",)),
        )
    ),
    "bench_peers": Table(
        (
            ("peer", ("peer",)),
            ("precision", ("precision",)),
            ("samples/s", ("samples_per_s",)),
            ("rollout, s", ("rollout_s",)),
            ("update, s", ("update_s",)),
            ("ratio: median, least, greatest", ("ratio", "ratio_min", "ratio_max")),
        )
    ),
    "run": Table(
        (
            ("task", ("task",)),
            ("iterations", ("iterations",)),
            ("frames", ("frames",)),
            ("frames/s: median, over all", ("fps", "frames_per_s_over_all")),
            ("physics, s", ("sim_s",)),
            ("acting, s", ("act_s",)),
            ("learning, s", ("learn_s",)),
            ("leader's objective", ("leader/objective",)),
        )
    ),
    "curve": Table(
        (
            ("frames", ("frames",)),
            ("wall clock, s", ("wall_s",)),
            ("frames/s", ("fps",)),
            ("leader's objective", ("leader/objective",)),
            ("generations", ("generation",)),
            ("parts", ("parts",)),
        )
    ),
}
"""Step -> how its rows are shown; other steps are shown as what their jobs said."""


def text(ledger: Ledger, steps: Sequence[Step], title: str, device: str) -> str:
    """Write the page.

    Args:
        ledger: what is known.
        steps: in the order of the page.
        title: of the page.
        device: as in `device=<device>`.
    """
    is_default = device == "cuda"
    lines = [HEAD.format(title=title, device="" if is_default else f" DEVICE={device}")]
    if device == "cpu":
        lines.append(REHEARSAL)
    for step in steps:
        lines += [f"## {step.name}: {step.help}", ""]
        rows = flat(ledger.rows(step.name))
        shape = TABLES.get("run" if step.name.startswith("run_") else step.name)
        if step.name == "environment":
            lines += [*described(rows), ""]
        elif rows and shape is not None:
            lines += [*table(shape, rows), ""]
        elif rows:
            lines += ["```", *(shown(row) for row in rows), "```", ""]
        lines += [*outcome(ledger, step), ""]
    return "\n".join(lines).rstrip() + "\n"


def described(rows: Sequence[Dict[str, Any]]) -> List[str]:
    """Return the machine as a list: versions, device, findings."""
    lines = []
    for row in rows:
        versions = row.get("versions", {})
        plain = {**versions, **versions.get("simulators", {}), **row, **row.get("findings", {})}
        lines += [
            f"- {name}: {shown(value)}"
            for name, value in plain.items()
            if value not in (None, [], "") and not isinstance(value, dict) and name != "job"
        ]
    return lines


def outcome(ledger: Ledger, step: Step) -> List[str]:
    """Return how the jobs of a step ended."""
    lines = []
    for job in step.jobs:
        entry = ledger.entry(step.name, job.name)
        state = entry.get("state", "not run yet")
        took = f", {entry['seconds']:,.0f} s" if entry else ""
        lines.append(f"- {job.name}: {state}{took}")
        if state not in (DONE, "not run yet"):
            last = (entry.get("output") or ["it printed nothing"])[-1].strip()
            lines[-1] += f": `{last[:200]}`"
    return lines


def flat(rows: Sequence[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Return one row for each measurement: some benches print several in one line."""
    found: List[Dict[str, Any]] = []
    for row in rows:
        inner = row.get("rows")
        if isinstance(inner, list):
            shared = {name: value for name, value in row.items() if value is not inner}
            found += [{**shared, "differs": _last_setting(row), **one} for one in inner]
        else:
            found.append(row)
    return found


def table(shape: Table, rows: Sequence[Dict[str, Any]]) -> List[str]:
    """Return the lines of a table in Markdown."""
    heads = [head for head, _ in shape.columns]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for row in rows:
        cells = [", ".join(shown(row.get(name)) for name in names) for _, names in shape.columns]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def shown(value: Any) -> str:
    """Show a value: numbers with four digits, unknown ones as a dash."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def _last_setting(row: Dict[str, Any]) -> str:
    """Return the compared setting of a row of `bench sim`: graph or threads."""
    names = ("engine.graph", "engine.num_threads")
    return next((line for line in row.get("settings", []) if line.startswith(names)), "")
