"""Charts of one run as inline SVG."""

from __future__ import annotations

import io
import math
import re
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from epo.cli.plot.figure import draw, panels
from epo.cli.plot.groups import Group, smooth
from epo.cli.report.family import Life
from epo.cli.report.record import GeneTable, Record, finite
from epo.cli.report.selection import Verdict

WIDTH_INCHES = 9.5
COLORS = "viridis"
MAX_COLUMNS = 400
"""Columns of a heat map over iterations; neighbours are averaged."""
RC: Dict[Any, Any] = {"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}
"""Text stays text: it can be found and read aloud, and takes little room."""
_PROLOGUE = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_SIZE = re.compile(r'(<svg[^>]*?) (?:width|height)="[^"]*"')


def svg(figure: Figure, name: str, label: str) -> Markup:
    """Give a figure as SVG for a page, as wide as there is room.

    Args:
        figure: what to write.
        name: differs between the charts of a page, so that their inner names do.
        label: what a reader without eyes hears.
    """
    content = io.StringIO()
    with matplotlib.rc_context({**RC, "svg.hashsalt": name}):
        figure.savefig(content, format="svg", metadata={"Date": None})
    text = _METADATA.sub("", _PROLOGUE.sub("", content.getvalue()))
    for _ in range(2):
        text = _SIZE.sub(r"\1", text, count=1)
    quoted = Markup.escape(label)
    width = f"{figure.get_figwidth() * 100:.0f}px"
    style = f'role="img" aria-label="{quoted}" style="max-width:{width}"'
    return Markup(text.replace("<svg", f"<svg {style}", 1))


def curves(groups: Sequence[Group], names: Sequence[str], name: str) -> List[Markup]:
    """Draw columns over frames, a chart each, seeds of a group as one line with a band."""
    with matplotlib.rc_context(RC):
        return [
            svg(draw([panel], groups, "frames"), f"{name}{i}", f"{panel.column} over frames")
            for i, panel in enumerate(panels(groups, "frames", names))
        ]


def heat_map(record: Record, name: str) -> Optional[Markup]:
    """Draw the fitness of every agent, over generations or, without any, over iterations."""
    generations = record.generations
    if generations:
        values, label = np.stack([g.fitness for g in generations]), "generation"
        end = float(generations[-1].number)
    else:
        values, label = _binned(record.agent_fitness, MAX_COLUMNS), "iteration"
        end = float(len(record.run.curves["frames"]))
    if not values.size or np.isnan(values).all():
        return None

    def paint(axes: Axes) -> None:
        # Agent 0 below, the leader at the top.
        extent = (0.5, end + 0.5, -0.5, values.shape[1] - 0.5)
        image = axes.imshow(
            values.T, aspect="auto", origin="lower", cmap=COLORS, extent=extent,
            interpolation="none",
        )  # fmt: skip
        axes.figure.colorbar(image, ax=axes, label="fitness")
        axes.set_xlabel(label)
        axes.set_ylabel("agent (the last is the leader)")

    height = min(6.0, 2.0 + 0.08 * values.shape[1])
    return _chart(paint, name, f"fitness of {values.shape[1]} agents over {label}s", height)


def tree(family: Sequence[Life], name: str) -> Optional[Markup]:
    """Draw every gene's life as a bar in the row of its agent, its parents as thin lines."""
    if not family:
        return None
    scores = finite([life.last_fitness for life in family])
    scale = Normalize(min(scores, default=0.0), max(scores, default=1.0))
    colors = matplotlib.colormaps[COLORS]
    end = 1 + max(g for life in family for g in (life.birth, *life.fitness))
    agent_of = {life.gene_id: life.agent for life in family}

    def paint(axes: Axes) -> None:
        for life in family:
            until = end if life.death is None else life.death
            known = math.isfinite(life.last_fitness)
            color = colors(scale(life.last_fitness)) if known else "0.7"
            axes.plot([life.birth, until], [life.agent] * 2, color=color, linewidth=3.5,
                      solid_capstyle="butt")  # fmt: skip
            if life.death is not None:
                axes.plot(until, life.agent, "x", color="0.2", markersize=4)
            for parent in dict.fromkeys(life.parents or ()):
                line = [life.birth - 0.6, life.birth], [agent_of[parent], life.agent]
                axes.plot(*line, color="0.5", linewidth=0.6, zorder=0)
            if life.birth:
                axes.plot(life.birth, life.agent, "o", color="0.2", markersize=2.5)
        mappable = ScalarMappable(scale, COLORS)
        axes.figure.colorbar(mappable, ax=axes, label="last known fitness")
        axes.set_xlabel("generation (dot: born, cross: replaced)")
        axes.set_ylabel("agent")

    num_agents = 1 + max(life.agent for life in family)
    return _chart(paint, name, "family tree of the genes", min(9.0, 1.8 + 0.14 * num_agents))


def gene_map(table: Optional[GeneTable], name: str) -> Optional[Markup]:
    """Draw the genes in the plane of their two largest principal components, and their ways."""
    if table is None or table.genes.shape[1] < 2:
        return None
    points, shares = principal_components(table.genes)
    num_moments, num_agents = points.shape[:2]

    def paint(axes: Axes) -> None:
        for k in range(num_agents):
            for way in _unbroken(table.ids[:, k]):
                part = points[way, k]
                axes.plot(part[:, 0], part[:, 1], color="0.75", linewidth=0.8, zorder=1)
        known = finite(table.fitness.ravel().tolist())
        low, high = min(known, default=0.0), max(known, default=1.0)
        moments = np.repeat(np.linspace(4.0, 14.0, num_moments), num_agents)
        flat = points.reshape(-1, 2)
        dots = axes.scatter(
            flat[:, 0], flat[:, 1], c=table.fitness.ravel(), s=moments, cmap=COLORS,
            vmin=low, vmax=high, plotnonfinite=True, zorder=2,
        )  # fmt: skip
        last = points[-1]
        axes.scatter(last[:, 0], last[:, 1], c=table.fitness[-1], s=70, cmap=COLORS,
                     edgecolors="black", linewidths=0.8, zorder=3, vmin=low, vmax=high)  # fmt: skip
        for k, place in enumerate(last):
            text = f"{k} (leader)" if k == num_agents - 1 else str(k)
            axes.annotate(text, place, xytext=(5, 4), textcoords="offset points", fontsize=8)
        axes.figure.colorbar(dots, ax=axes, label="fitness")
        axes.set_xlabel(f"first component, {100 * shares[0]:.0f} % of the variance")
        axes.set_ylabel(f"second component, {100 * shares[1]:.0f} %")

    return _chart(paint, name, "genes in the plane of two principal components", 5.0)


def coin_flips(verdicts: Sequence[Verdict], name: str) -> Optional[Markup]:
    """Draw the range of fitness beside the range of equal agents."""
    if not verdicts:
        return None
    x = [verdict.number for verdict in verdicts]

    def paint(axes: Axes) -> None:
        axes.plot(x, [v.spread for v in verdicts], ".-", label="range of the fitness")
        chance = [v.chance if math.isfinite(v.chance) else math.nan for v in verdicts]
        axes.fill_between(x, 0.0, chance, color="0.6", alpha=0.4, label="range of equal agents")
        axes.set_xlabel("generation")
        axes.set_ylabel("task units")
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)

    return _chart(paint, name, "range of the fitness against chance", 2.8)


def follower_share(record: Record, name: str) -> Optional[Markup]:
    """Draw which share of the leader's effective samples comes from followers.

    Relabelled samples count as n (sum m)^2 / (n sum m^2) under their importance weights m, the
    leader's own as one each; `algo.aggregation.ratio` says how many there are of them.
    """
    effective = record.column("importance/ess")
    group = record.run.settings.get("algo", {}).get("aggregation", {})
    if np.isnan(effective).all() or not isinstance(group, dict):
        return None
    copies = float(int(float(group.get("ratio", 1.0))))
    share = copies * effective / (1.0 + copies * effective)

    def paint(axes: Axes) -> None:
        x, y = smooth(record.run.curves["frames"], (100.0 * share).tolist())
        axes.plot(x, y, label="effective samples of the leader that come from followers, %")
        own = 100.0 * copies / (1.0 + copies)
        axes.axhline(own, color="0.5", linestyle=":", label="if all weights were equal, %")
        axes.set_ylim(0.0, 100.0)
        _frames(axes)
        axes.legend(fontsize=8)

    return _chart(paint, name, "share of the leader's data that comes from followers", 2.8)


def timing(record: Record, name: str) -> Optional[Markup]:
    """Draw where the time of an iteration went, stacked, s."""
    parts = time_parts(record)
    if not parts:
        return None

    def paint(axes: Axes) -> None:
        frames = record.run.curves["frames"]
        x, _ = smooth(frames, [0.0] * len(frames))
        ys = [smooth(frames, np.nan_to_num(values).tolist())[1] for values in parts.values()]
        axes.stackplot(x, *ys, labels=list(parts), alpha=0.85)
        _frames(axes)
        axes.set_ylabel("s per iteration")
        axes.legend(fontsize=8, ncols=4, loc="upper right")

    return _chart(paint, name, "time of an iteration by its parts", 2.8)


def time_parts(record: Record) -> Dict[str, np.ndarray]:
    """Give the seconds of every iteration by what they went to, name -> [I]."""
    frames, fps = record.column("frames"), record.column("fps")
    if not len(frames):
        return {}
    total = np.diff(frames, prepend=0.0) / fps
    named = {"simulation": "sim_s", "acting": "act_s", "learning": "learn_s"}
    parts = {label: record.column(name) for label, name in named.items()}
    known = np.nansum(np.stack(list(parts.values())), axis=0)
    return {**parts, "rest": np.maximum(total - known, 0.0)}


def principal_components(genes: np.ndarray) -> Any:
    """Project genes [M, K, G] on their two largest components.

    Returns:
        The points [M, K, 2] around the mean, and the shares [2] of the variance.
    """
    flat = genes.reshape(-1, genes.shape[-1])
    centred = flat - flat.mean(axis=0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    if len(values) < 2:  # genes of one number
        values, axes = np.append(values, 0.0), np.vstack([axes, np.zeros_like(axes)])
    variance = values**2
    shares = variance[:2] / max(float(variance.sum()), np.finfo(np.float64).tiny)
    return (centred @ axes[:2].T).reshape(*genes.shape[:2], 2), shares


def _chart(paint: Callable[[Axes], None], name: str, label: str, height: float) -> Markup:
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        paint(figure.add_subplot())
        return svg(figure, name, label)


def _frames(axes: Axes) -> None:
    axes.set_xlabel("frames")
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.grid(alpha=0.3)


def _unbroken(ids: np.ndarray) -> Iterator[List[int]]:
    """Give the stretches of moments in which an agent carried one gene."""
    starts = [0, *(np.flatnonzero(np.diff(ids)) + 1).tolist(), len(ids)]
    for begin, end in zip(starts, starts[1:]):
        yield list(range(begin, end))


def _binned(values: np.ndarray, most: int) -> np.ndarray:
    """Average rows until at most `most` are left."""
    size = max(1, math.ceil(len(values) / most))
    parts = [values[i : i + size] for i in range(0, len(values), size)]
    return np.stack([_known_mean(part) for part in parts]) if parts else values


def _known_mean(part: np.ndarray) -> np.ndarray:
    """Average the rows of a part without NaN; NaN where nothing is known."""
    num = np.isfinite(part).sum(axis=0)
    return np.where(num > 0, np.nansum(part, axis=0) / np.maximum(num, 1), np.nan)
