"""A page for every task: picture, layout of observation and action, reward, settings.

Everything is read from the code and the settings that train with it, so that no page goes stale.
"""

from __future__ import annotations

import inspect
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple

import torch

from docs.website.settings import doc_lines, escape, table, walk
from epo.cli.compose import configurations
from epo.cli.environment import CONFIG_DIR, register
from tasks import registry
from tasks.allegro_kuka.config import AllegroKukaCfg, RewardCfg
from tasks.allegro_kuka.rewards import TERMS
from tasks.classic.config import ClassicCfg
from tasks.classic.env import TASKS
from tasks.description import Part
from tasks.mujoco.family import MujocoFamily

REPOSITORY = Path(__file__).resolve().parents[2]


class Page(NamedTuple):
    """A generated page.

    Attributes:
        path: below docs/.
        text: Markdown.
    """

    path: str
    text: str


def pages() -> List[Page]:
    """Return a page for every task of ours; other people's environments have pages of their own."""
    names = sorted(path.stem for path in (REPOSITORY / "cfg/task").glob("*.yaml"))
    chosen = [name for name in names if configuration(name).kind in BODIES]
    return [Page(f"tasks/{name}.md", page(name)) for name in chosen]


def page(name: str) -> str:
    """Return the page of a task."""
    cfg = configuration(name)
    head = [f"# {name}", "", summary(name), "", f"![{name}]({name}.webp)", ""]
    command = [f"    python train.py task={name}", f"    python -m epo play task={name}", ""]
    sources = "[U]: IsaacGymEnvs, [E]: the EPO repository, *ours*: our own choice."
    settings = ["", "## Settings", "", sources, "", *table(walk(cfg, "task."))]
    return "\n".join([*head, *command, *BODIES[cfg.kind](cfg), *settings, ""])


def summary(name: str) -> str:
    """Return the comment at the top of the task's file, or the first line of its schema."""
    lines = (REPOSITORY / f"cfg/task/{name}.yaml").read_text(encoding="utf-8").splitlines()
    comment = [line[1:].strip() for line in lines if line.startswith("#")]
    if comment:
        return " ".join(comment)
    return (inspect.getdoc(type(configuration(name))) or "").partition("\n")[0]


@lru_cache(maxsize=None)
def configuration(name: str) -> Any:
    """Return the filled settings of a task."""
    register()
    return configurations([f"task={name}"], CONFIG_DIR)[0].task


def _layout(title: str, parts: List[Part]) -> List[str]:
    """Return the table of a vector; ranges are inclusive."""
    size = parts[-1].stop
    lines = [
        "",
        f"## {title}: {size} numbers",
        "",
        "| numbers | part | content |",
        "| --- | --- | --- |",
    ]
    for part in parts:
        last = part.stop - 1
        where = str(last) if last == part.start else f"{part.start}–{last}"
        lines.append(f"| {where} | `{part.name}` | {escape(part.meaning)} |")
    return lines


def _allegro_kuka(cfg: AllegroKukaCfg) -> List[str]:
    described = registry.of(cfg).describe(cfg, 0, 0)
    notes = [f"- {note[0].upper()}{note[1:]}." for note in described.notes]
    return [
        *_layout("Observation", described.observation),
        "",
        "Positions and velocities are in the world frame: z up, table top at 0.53 m.",
        *_layout("Action", described.action),
        "",
        *notes,
        *_rewards(cfg),
        *_episode(cfg),
    ]


def _rewards(cfg: AllegroKukaCfg) -> List[str]:
    docs = doc_lines(RewardCfg)
    lines = [
        "",
        "## Reward",
        "",
        "Task units; the learner multiplies by `algo.ppo.reward_scale`.",
        "",
    ]
    lines += ["| term | `task.reward.` | coefficient | paid |", "| --- | --- | --- | --- |"]
    for term in TERMS:
        value = getattr(cfg.reward, term)
        sign = "−" if value and term.endswith("penalty") else ""
        lines.append(f"| {term} | `{term}` | {sign}{value:g} | {escape(docs[term])} |")
    return lines


def _episode(cfg: AllegroKukaCfg) -> List[str]:
    tolerance, reach = cfg.curriculum, cfg.keypoint_scale
    steps = cfg.success_hold_steps
    held = "1 step" if steps == 1 else f"{steps} steps"
    last = f"{tolerance.target_tolerance_m * reach:g}"
    first = f"{tolerance.initial_tolerance_m * reach:g}"
    span = (
        f"{first} m" if first == last else f"{first} m, which the curriculum tightens to {last} m,"
    )
    fitness = "successes + 1"
    if first != last:
        fitness = f"0.01 × successes + progress of the tolerance while it tightens, then {fitness}"
    return [
        "",
        "## Episode",
        "",
        f"- **Success:** every keypoint within {span} of the goal for {held}.",
        f"- **Time limit:** {cfg.episode_length} control steps of 1/60 s without a success.",
        "- **End:** the object falls, or the last success that counts; "
        "[overview](README.md#allegro-kuka).",
        f"- **Fitness:** {fitness}.",
    ]


def _classic(cfg: ClassicCfg) -> List[str]:
    """Return what the class of a classic task says of its numbers, with its sizes."""
    task = TASKS[type(cfg)](cfg, torch.device("cpu"))
    text = inspect.getdoc(type(task)) or ""
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    lines: List[str] = ["", "## State, observation, action, reward", ""]
    lines += [line for part in paragraphs for line in (part, "")]
    facts = [
        ("observation", f"{task.observation_dim} numbers"),
        (
            "action",
            f"{task.num_choices} choices" if task.num_choices else f"{task.action_dim} in [−1, 1]",
        ),
        ("control step", f"{task.control_dt_s:g} s"),
        ("time limit", f"{cfg.episode_length} control steps; the clock is not observed"),
        (
            "success metric",
            f"`{task.success_metric}`" if task.success_metric else "none: the return",
        ),
    ]
    return [*lines, "| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in facts)]


def _mujoco(cfg: Any) -> List[str]:
    """Return what a task over a MuJoCo model says of its numbers."""
    family = registry.of(cfg)
    assert isinstance(family, MujocoFamily)
    task, described = family.task(cfg), family.describe(cfg, 0, 0)
    success = f"`{task.success_metric}`" if task.success_metric else "none: the return"
    return [
        *_layout("Observation", described.observation),
        *_layout("Action", described.action),
        "",
        "## Reward",
        "",
        "Task units per control step; the terms add up.",
        "",
        "| term | paid |",
        "| --- | --- |",
        *(f"| {name} | {escape(meaning)} |" for name, meaning in task.reward),
        "",
        "## Episode",
        "",
        f"- **Time limit:** {cfg.episode_length} control steps of {task.model.control_dt_s:g} s; "
        "the clock is not observed.",
        f"- **Success metric:** {success}.",
        "- **Engines:** `mujoco` on CPU threads, `mujoco_warp`.",
    ]


BODIES: Dict[str, Callable[[Any], List[str]]] = {
    "allegro_kuka": _allegro_kuka,
    "classic": _classic,
    "mujoco": _mujoco,
}
"""`task.kind` -> what a page of such a task says; other people's environments have other pages."""
