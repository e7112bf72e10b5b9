"""Arguments of a verb: its own `name=value` options beside overrides of the configuration."""

from __future__ import annotations

from dataclasses import fields
from typing import List, Sequence, Tuple, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from epo.config import ConfigError

Options = TypeVar("Options")


def split(arguments: Sequence[str], defaults: Options) -> Tuple[Options, List[str]]:
    """Read the options of a verb.

    Args:
        arguments: what follows the verb on the command line.
        defaults: a dataclass instance, one field per option of the verb.

    Returns:
        The options with the given values, and all other arguments in their order.

    Raises:
        ConfigError: if a value has the wrong type.
    """
    names = {field.name for field in fields(defaults)}  # type: ignore[arg-type]
    options, others = OmegaConf.structured(defaults), []
    for argument in arguments:
        name, is_option, value = argument.partition("=")
        if not (is_option and name in names):
            others.append(argument)
            continue
        try:
            options = OmegaConf.merge(options, OmegaConf.from_dotlist([argument]))
        except OmegaConfBaseException as error:
            raise ConfigError(name, value, str(error).partition("\n")[0]) from error
    read = OmegaConf.to_object(options)
    assert isinstance(read, type(defaults))
    return read, others
