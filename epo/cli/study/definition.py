"""What a study compares: the schema of `cfg/study/`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Set

from omegaconf import MISSING

from epo.cli import definitions
from epo.cli.environment import CONFIG_DIR
from epo.config import ConfigError
from epo.validation import did_you_mean

STUDY_DIR = CONFIG_DIR / "study"
AXES = ("frames", "wall_s")
NUMBERS = ("final", "area")
"""What is compared of a curve: its end, and the area under it, as a mean height."""


@dataclass
class PublishedCfg:
    """The test that a paper reports of an arm against its baseline."""

    t: float = MISSING
    """Value of the t statistic; negative: the arm is higher."""
    p: str = MISSING
    """Its two-sided p, as printed: `0.0495` or `<0.0001`."""

    @property
    def bound(self) -> float:
        """The number in `p`: its value, or what it is below."""
        return float(self.p.lstrip("<"))


@dataclass
class EnvironmentCfg:
    """A task that every arm is run on."""

    settings: List[str] = MISSING
    """Overrides of `python train.py` that choose it, the same for all arms."""
    max_frames: int = MISSING
    """Length of a run, environment frames."""
    solved_return: Optional[float] = None
    """Value of the metric from which it counts as solved; None: nobody says."""
    published: Dict[str, PublishedCfg] = field(default_factory=dict)
    """What a paper reports, by arm."""
    reference: Optional[float] = None
    """What others published of it, in the metric's unit; None: nothing."""
    arms: Optional[List[str]] = None
    """Arms that are run on it; None: all of them."""
    series: Dict[str, int] = field(default_factory=dict)
    """Panel of the picture over sizes -> its place there, such as the number of agents."""


@dataclass
class StudyCfg:
    """Arms x environments x seeds, and what is read from their runs."""

    title: str = MISSING
    """Headline of the page."""
    question: str = MISSING
    """What is compared and why: the first paragraph of the page."""
    notes: List[str] = field(default_factory=list)
    """What a reader must know to judge the numbers."""
    num_seeds: int = MISSING
    """Runs of every arm on every environment, with the seeds 1, 2, ...; each is one sample."""
    settings: List[str] = field(default_factory=list)
    """Overrides of all runs."""
    environments: Dict[str, EnvironmentCfg] = MISSING
    """By the name that the page uses."""
    arms: Dict[str, List[str]] = MISSING
    """Name -> overrides, after those of the environment."""
    baseline: str = MISSING
    """The arm that all others are tested against."""
    metric: str = "leader/episode_return"
    """Column of metrics.csv, higher is better."""
    measures: Dict[str, str] = field(default_factory=dict)
    """Further columns of metrics.csv -> what the page calls them; means over whole runs."""
    axes: List[str] = field(default_factory=lambda: ["frames"])
    """What is compared at equal values and drawn over: `frames`, `wall_s`."""
    numbers: List[str] = field(default_factory=lambda: ["final"])
    """What of a run's curve is compared: `final`, `area`."""
    least_g: float = 0.0
    """Hedges' g that a significant difference must exceed to count."""
    curves: Optional[List[str]] = None
    """Environments whose curves are drawn; None: all of them."""
    reference: str = ""
    """Whose numbers the environments' `reference` are."""
    tolerance: float = 0.05
    """Share of a reference that a mean may be below it and still count as reaching it."""

    @property
    def series(self) -> List[str]:
        """Panels of the picture over sizes: those of several sizes."""
        sizes: Dict[str, Set[int]] = {}
        for environment in self.environments.values():
            for name, size in environment.series.items():
                sizes.setdefault(name, set()).add(size)
        return [name for name, found in sizes.items() if len(found) > 1]

    def arms_of(self, environment: str) -> Dict[str, List[str]]:
        """Return the arms that are run on an environment, name -> overrides."""
        chosen = self.environments[environment].arms
        return {name: s for name, s in self.arms.items() if chosen is None or name in chosen}


def names() -> List[str]:
    """List the studies."""
    return definitions.names(STUDY_DIR)


def load(name: str) -> StudyCfg:
    """Read `cfg/study/<name>.yaml`, or the file that `name` is.

    Raises:
        ConfigError: if there is no such study, or its file is wrong.
    """
    study, path = definitions.read("study", "studies", name, STUDY_DIR, StudyCfg)
    _check(study, path)
    return study


def _check(study: StudyCfg, path: Path) -> None:
    """Refuse a study that cannot be carried out."""
    if study.num_seeds < 1:
        raise ConfigError("num_seeds", study.num_seeds, f"use at least 1 in {path}")
    if study.baseline not in study.arms:
        way_out = f"no arm of {path} (arms: {', '.join(study.arms)})"
        raise ConfigError("baseline", study.baseline, way_out)
    for axis in study.axes:
        if axis not in AXES:
            raise ConfigError("axes", axis, f"unknown in {path} (choices: {', '.join(AXES)})")
    for number in study.numbers:
        if number not in NUMBERS:
            way_out = f"unknown in {path} (choices: {', '.join(NUMBERS)})"
            raise ConfigError("numbers", number, way_out)
    if not 0.0 <= study.tolerance < 1.0:
        raise ConfigError("tolerance", study.tolerance, f"use a share from 0 to below 1 in {path}")
    for name in study.curves or ():
        if name not in study.environments:
            hint = did_you_mean(name, study.environments)
            raise ConfigError("curves", name, f"no environment of {path}{hint}")
    for name, environment in study.environments.items():
        if environment.reference is not None and not study.reference:
            way_out = f"whose number is it? Say so in reference: of {path}"
            raise ConfigError(f"{name}.reference", environment.reference, way_out)
        for arm in environment.arms or ():
            if arm not in study.arms:
                hint = did_you_mean(arm, study.arms)
                raise ConfigError(f"{name}.arms", arm, f"no arm of {path}{hint}")
        for arm, published in environment.published.items():
            if arm not in study.arms:
                hint = did_you_mean(arm, study.arms)
                raise ConfigError(f"{name}.published", arm, f"no arm of {path}{hint}")
            try:
                is_p = 0.0 <= published.bound <= 1.0 and math.isfinite(published.t)
            except ValueError:
                is_p = False
            if not is_p:
                way_out = f"give t as a number and p such as '0.0495' or '<0.0001' in {path}"
                raise ConfigError(f"{name}.published.{arm}", published.p, way_out)
