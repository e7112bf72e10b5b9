"""Arguments of a verb: its own `name=value` options beside overrides of the configuration."""

from __future__ import annotations

from dataclasses import fields
from typing import Dict, List, Optional, Sequence, Tuple, TypeVar, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from epo.config import ConfigError
from epo.quoting import unquoted

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
    hints = get_type_hints(type(defaults))
    names = {field.name for field in fields(defaults)}  # type: ignore[arg-type]
    options, others = OmegaConf.structured(defaults), []
    texts: Dict[str, Optional[str]] = {}
    for argument in arguments:
        name, is_option, value = argument.partition("=")
        if not (is_option and name in names):
            others.append(argument)
        elif hints[name] in (str, Optional[str]):
            # Taken as it is: `[a]` or `1e3` may be the name of a folder.
            is_none = value == "null" and hints[name] is not str
            texts[name] = None if is_none else unquoted(value)
        else:
            try:
                options = OmegaConf.merge(options, OmegaConf.from_dotlist([argument]))
            except (OmegaConfBaseException, YAMLError) as error:
                raise ConfigError(name, value, str(error).partition("\n")[0]) from error
    read = OmegaConf.to_object(options)
    assert isinstance(read, type(defaults))
    for name, text in texts.items():
        setattr(read, name, text)
    return read, others


def check_least(options: object, **least: float) -> None:
    """Refuse options that are smaller than possible; None was not given.

    Args:
        options: of a verb.
        least: name of an option -> its least value.

    Raises:
        ConfigError: at the first of them.
    """
    for name, bound in least.items():
        value = getattr(options, name)
        if value is not None and value < bound:
            raise ConfigError(name, value, f"use at least {bound}")
