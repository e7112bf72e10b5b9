"""Pages of the reference: every public module with its docstrings, and every setting."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List

from docs.website.settings import table, walk
from docs.website.task_pages import Page
from epo.cli.compose import configurations
from epo.cli.environment import CONFIG_DIR, register
from epo.components import load, trainers

REPOSITORY = Path(__file__).resolve().parents[2]
ROOMS: Dict[str, str] = {
    "epo/envs.py": "Environments",
    "epo/components.py": "Components",
    "epo/population": "Population",
    "epo/models": "Models",
    "epo/rollout": "Rollout",
    "epo/learner": "Learner",
    "epo/record": "Records",
    "epo/runner": "Runner",
    "tasks": "Tasks",
}
"""Place in the repository -> title of its page, in the order of the navigation."""
OTHERS = {"pbt": "pbt", "pql": "pql", "rl_games": "rl_games_ppo"}
"""Ways of training with settings of their own -> `algo=<name>`."""
SETTINGS = """# Settings

Every setting of `python train.py` (`task=AllegroKukaRegrasping algo=epo`) with its value. Set any
of them as `name=value`. Other tasks and algorithms start from other values: `python train.py task=…
algo=… --cfg job` shows them. The settings of each task stand on its [own page](../tasks/README.md).

Where a number comes from: **AK**, the published Allegro-Kuka setting of SAPG and EPO; **R** or
*ours*, our own choice; **P**, **T**, **C**, the paper or the public code of that algorithm, as its
[page](../algorithms/README.md) says.
"""


def pages() -> List[Page]:
    """Return the pages of modules and the page of settings."""
    rooms = [Page(f"reference/{stem(place)}.md", room(place)) for place in ROOMS]
    return [*rooms, Page("reference/settings.md", settings())]


def stem(place: str) -> str:
    """Return the name of the page about a place in the repository."""
    return Path(place).stem


def room(place: str) -> str:
    """Return the page about the modules of a place."""
    path = REPOSITORY / place
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    lines = [f"# {ROOMS[place]}", ""]
    for file in files:
        name = module(file)
        if any(part.startswith("_") for part in name.split(".")):
            continue
        lines += [f"::: {name}", ""]
    return "\n".join(lines)


def module(file: Path) -> str:
    """Return the dotted name of a module of the repository."""
    parts = file.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def settings() -> str:
    """Return the page of all settings, with the values of `python train.py`."""
    register()
    cfg = configurations([], CONFIG_DIR)[0]
    found = [one for one in walk(cfg, "") if not one.name.startswith("task.")]
    lines = [SETTINGS, *table(iter(found)), ""]
    for trainer, name in OTHERS.items():
        own = load(trainers.get(trainer).schema)(name=name)
        group = walk(vars(own)[trainer], f"algo.{trainer}.")
        lines += [f"## Only `algo={name}`", "", *table(group), ""]
    return "\n".join(lines)
