"""Optuna's study in an SQLite file, which several commands may share."""

from __future__ import annotations

import json
import warnings
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, Iterator

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from epo.config import ConfigError
from launch.tune.definition import RangeCfg, TuneCfg

FILE = "optuna.db"
TIMEOUT_S = 20.0
"""How long another process may hold the file, s."""
SEARCH = "search"
"""Attribute of the study: what is searched, and with which runs."""


def open_study(tune: TuneCfg, folder: Path, extra: Dict[str, Any]) -> optuna.Study:
    """Open the study of a folder, or begin it.

    Args:
        tune: the search.
        folder: of its runs and its file.
        extra: what else makes the runs what they are.

    Raises:
        ConfigError: if the file belongs to another search, is none, or is locked.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    path = folder / FILE
    with locked_storage(path):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            way_out = f"cannot be written ({error.strerror}); choose another runs="
            raise ConfigError("runs", folder, way_out) from error
        engine = {"connect_args": {"timeout": TIMEOUT_S}}
        study = optuna.create_study(
            storage=RDBStorage(f"sqlite:///{path.resolve()}", engine_kwargs=engine),
            study_name="tune",
            direction="maximize",
            load_if_exists=True,
            sampler=optuna.samplers.TPESampler(seed=tune.seed, constant_liar=True),
            pruner=optuna.pruners.MedianPruner(
                tune.startup_trials, int(tune.warmup_share * tune.max_frames)
            ),
        )
        wanted = json.dumps(_search(tune, extra), sort_keys=True)
        saved = study.user_attrs.get(SEARCH)
        if saved is None:
            study.set_user_attr(SEARCH, wanted)
        elif saved != wanted:
            way_out = "holds a search of other settings or another space; choose another runs="
            raise ConfigError("runs", folder, way_out)
    return study


@contextmanager
def locked_storage(path: Path) -> Iterator[None]:
    """Turn a storage that cannot be used into one line.

    Raises:
        ConfigError: if another process holds it, or it is no study.
    """
    try:
        yield
    except Exception as error:
        is_storage = isinstance(error, StorageInternalError)
        if not is_storage and not type(error).__module__.startswith(("sqlalchemy", "sqlite3")):
            raise
        text = " ".join(str(error.__cause__ or error).split())
        reason = "another process holds it" if "locked" in text else text[:200]
        way_out = f"{reason}; wait for it, or choose another runs="
        raise ConfigError("storage", path, way_out) from error


def distributions(tune: TuneCfg) -> Dict[str, BaseDistribution]:
    """Return the space as Optuna knows it."""
    return {name: _distribution(values) for name, values in tune.space.items()}


def _distribution(values: RangeCfg) -> BaseDistribution:
    if values.choices:
        return CategoricalDistribution(values.choices)
    assert values.low is not None and values.high is not None
    if values.whole:
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def _search(tune: TuneCfg, extra: Dict[str, Any]) -> Dict[str, Any]:
    """Return what must be equal for trials to be compared; their number may grow."""
    kept = {k: v for k, v in asdict(tune).items() if k not in ("title", "num_trials")}
    return {**kept, **extra}
