"""What a search varies, and by which number it judges: the schema of `cfg/tune/`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional

from omegaconf import MISSING

from epo.cli import definitions, environment
from epo.cli.environment import CONFIG_DIR
from epo.cli.overrides import overrides
from epo.config import Config, ConfigError
from epo.validation import get

TUNE_DIR = CONFIG_DIR / "tune"


@dataclass
class RangeCfg:
    """Values of one setting: from `low` to `high`, or one of `choices`."""

    low: Optional[float] = None
    high: Optional[float] = None
    log: bool = False
    """Whether equal ratios are equally likely."""
    whole: bool = False
    """Whole numbers only."""
    choices: List[Any] = field(default_factory=list)


@dataclass
class TuneCfg:
    """One search."""

    title: str = MISSING
    """Headline of the page."""
    settings: List[str] = MISSING
    """Overrides of `python train.py`, the same for all trials."""
    max_frames: int = MISSING
    """Length of a trial, environment frames."""
    num_trials: int = MISSING
    """Trials of the search, those that are pruned included; the first has the default values."""
    space: Dict[str, RangeCfg] = MISSING
    """Setting -> its values."""
    metric: str = "leader/episode_return"
    """Column of metrics.csv, higher is better; the mean of the last tenth of a trial counts."""
    seed: int = 0
    """Of Optuna's sampler."""
    startup_trials: int = 5
    """Trials that end before any is pruned (R: as Optuna's median pruner)."""
    warmup_share: float = 0.25
    """Share of a trial in which it is not pruned (R)."""


def names() -> List[str]:
    """List the searches."""
    return definitions.names(TUNE_DIR)


def load(name: str) -> TuneCfg:
    """Read `cfg/tune/<name>.yaml`, or the file that `name` is.

    Raises:
        ConfigError: if there is no such search, or its file is wrong.
    """
    tune, path = definitions.read("tune", "searches", name, TUNE_DIR, TuneCfg)
    if not tune.space:
        raise ConfigError("space", "{}", f"name at least one setting in {path}")
    for setting, values in tune.space.items():
        _check_range(setting, values, path)
    return tune


def configuration(tune: TuneCfg, extra: List[str]) -> Config:
    """Compose the search's runs and both ends of every range.

    Returns:
        What the settings are without the search.

    Raises:
        ConfigError: if a setting does not exist, or cannot have one of its values.
    """
    environment.register()
    base = [*tune.settings, *extra]
    for name, values in tune.space.items():
        for value in _ends(values):
            environment.configurations([*base, assigned(name, value)])
    (cfg,) = environment.configurations(base)
    return cfg


def assigned(name: str, value: Any) -> str:
    """Write a value of the search as an override."""
    (line,) = overrides({name: value})
    return line


def defaults(tune: TuneCfg, cfg: Config) -> Dict[str, Any]:
    """Return the present values of the settings that are searched, where the space has them."""
    found = {}
    for name, values in tune.space.items():
        value = get(cfg, name)
        if values.choices:
            if value in values.choices:
                found[name] = value
        elif isinstance(value, (int, float)) and values.low is not None:
            assert values.high is not None
            if values.low <= value <= values.high:
                found[name] = value
    return found


def _ends(values: RangeCfg) -> List[Any]:
    if values.choices:
        return values.choices
    ends = [values.low, values.high]
    return [int(end) if values.whole and end is not None else end for end in ends]


def _check_range(name: str, values: RangeCfg, path: Path) -> None:
    """Refuse a range that is none."""
    if values.choices:
        if values.low is not None or values.high is not None:
            way_out = f"give choices, or low and high, in {path}"
            raise ConfigError(f"space.{name}", "both", way_out)
        return
    if values.low is None or values.high is None or not values.low < values.high:
        way_out = f"give choices, or low below high, in {path}"
        raise ConfigError(f"space.{name}", f"{values.low}..{values.high}", way_out)
    if values.log and values.low <= 0:
        raise ConfigError(f"space.{name}.low", values.low, f"log needs a positive one in {path}")
