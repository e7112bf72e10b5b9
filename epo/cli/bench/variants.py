"""The configurations that one command line asks to compare."""

from __future__ import annotations

import itertools
from typing import List, NamedTuple, Sequence, Tuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import OverrideParseException

from epo.cli import environment
from epo.config import Config, ConfigError

SIM_BEFORE = ("algo=ppo", "num_agents=1")
"""What a bench of the simulation takes for granted unless told otherwise: no population."""
SIM_AFTER = ("algo.ppo.minibatch_size=null", "algo.ppo.num_minibatches=1")
"""Nothing is learned: any number of environments fits the batch."""


class Variant(NamedTuple):
    """One configuration to measure.

    Attributes:
        settings: the arguments that led to it, in their order, one value each.
        cfg: the configuration, validated, still with `auto` values.
    """

    settings: Tuple[str, ...]
    cfg: Config


def variants(
    arguments: Sequence[str],
    before: Sequence[str] = SIM_BEFORE,
    after: Sequence[str] = SIM_AFTER,
) -> List[Variant]:
    """Compose every combination of the values given, such as `num_envs=256,1024 seed=1,2`.

    Args:
        arguments: the settings of the command line.
        before: settings that hold unless the command line has its own.
        after: settings that hold whatever the command line says.

    Raises:
        ConfigError: at the first mistake.
    """
    for argument in arguments:
        if argument.startswith("-"):
            way_out = "unknown; settings are written name=value, several values name=a,b"
            raise ConfigError("flag", argument, way_out)
    environment.register()
    try:
        overrides = OverridesParser.create().parse_overrides(list(arguments))
    except OverrideParseException:
        environment.configurations(arguments)  # explains the mistake
        raise
    names = {argument.partition("=")[0] for argument in arguments}
    before = [line for line in before if line.partition("=")[0] not in names]
    settings = itertools.product(*(_values(override) for override in overrides))
    return [
        Variant(lines, *environment.configurations([*before, *lines, *after])) for lines in settings
    ]


def differing(compared: Sequence[Sequence[str]]) -> List[List[str]]:
    """Return those settings of each list that the lists do not all share."""
    common = set(compared[0]).intersection(*compared[1:])
    return [[line for line in settings if line not in common] for settings in compared]


def _values(override: Override) -> List[str]:
    """Return `name=value` for every value of an argument."""
    line = str(override.input_line)
    if not override.is_sweep_override():
        return [line]
    name, _, value = line.partition("=")
    if not override.is_discrete_sweep():
        raise ConfigError(name, value, f"list the values to compare: {name}=a,b")
    return [f"{name}={value}" for value in override.sweep_string_iterator()]
