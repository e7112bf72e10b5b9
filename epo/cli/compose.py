"""From a command line to a checked configuration, with errors of one line.

Hydra reports a mistake with several lines or a traceback. `configurations` composes a command line
without Hydra's job around it, and turns whatever goes wrong into a `ConfigError`: the setting, its
value, the way out. No torch here: a typing error answers at once.
"""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NoReturn, Optional, Sequence

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from epo.cli.guidance import meant, options_of
from epo.cli.overrides import GROUPS
from epo.cli.search_path import for_hydra, settled
from epo.components import trainers
from epo.config import AlgoCfg, Config, ConfigError
from epo.exceptions import keep_traceback, one_line, traceback_text, wants_tracebacks
from epo.program import as_typed
from epo.quoting import literal, shell, unquoted
from epo.redact import redact
from epo.terminal import say
from epo.validation import did_you_mean

FAILURE = 1
USAGE_ERROR = 2
INTERRUPTED = 130
MULTIRUN_FLAGS = {"-m", "--multirun"}
HYDRA_FLAGS = {
    *("-h", "--help", "--hydra-help", "--version", "-c", "--cfg", "--resolve", "-p", "--package"),
    *("-sc", "--shell-completion", "-cp", "--config-path", "-cn", "--config-name"),
    *("-i", "--info", "-r", "--run", "--experimental-rerun"),
}
"""Flags after which Hydra only informs, or reads another configuration."""
_EXPECTED = (
    (re.compile("to Integer"), "give a whole number"),
    (re.compile("to Float"), "give a number"),
    (re.compile("not a valid bool"), "give true or false"),
    (re.compile("not a ListConfig"), "give a list such as [256,128]"),
    (re.compile("to string"), "give a word"),
    (re.compile("not Optional"), "it cannot be empty, leave it out for the default"),
    (re.compile("missing mandatory value"), "it has no default, give a value"),
    (re.compile("Interpolation key"), "it refers to a setting that does not exist"),
    (re.compile("is not a subclass of"), "it is a group of settings; set one of them"),
)
PATHS = ("run_dir", "resume", "checkpoint", "genes")
"""Settings that name files: any text."""
_WITH_EXPONENT = re.compile(r"^\d+(\.\d*)?e\+?\d+$", re.IGNORECASE)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the process with one line: code 2 at a wrong setting, 130 at Ctrl-C, else 1.

    With HYDRA_FULL_ERROR=1 the whole traceback is shown. That of an exception that nobody expected
    is kept in a file.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        _end(error, "interrupted", INTERRUPTED)
    except ConfigError as error:
        _end(error, as_typed(f"error: {error}"), USAGE_ERROR)
    except Exception as error:
        path = keep_traceback(error)
        where = f"its traceback: {path}" if path else "HYDRA_FULL_ERROR=1 shows where"
        _end(error, f"error: {redact(one_line(error))}; not expected, {where}", FAILURE)


def _end(error: BaseException, line: str, code: int) -> NoReturn:
    if wants_tracebacks():
        say(traceback_text(error), is_error=True)
    say(line, is_error=True)
    sys.exit(code)


def typed(cfg: DictConfig, lines: Sequence[str] = ()) -> Config:
    """Turn a composed configuration into its dataclasses.

    Args:
        cfg: as Hydra composed it.
        lines: overrides that led to it, for the message.

    Raises:
        ConfigError: if a value is missing or refers to something that does not exist.
    """
    try:
        config = OmegaConf.to_object(cfg)
    except OmegaConfBaseException as error:
        raise _wrong_setting(error, lines) from error
    assert isinstance(config, Config)
    vars(config)["texts"] = _texts_from_environment(cfg)
    return config


def configurations(
    argv: Sequence[str], config_dir: Path, *validators: Callable[[Config], None]
) -> List[Config]:
    """Compose and validate a command line before Hydra runs it.

    Args:
        argv: arguments of the command, without its own name.
        config_dir: absolute folder that holds `config.yaml`.
        validators: each raises a `ValueError` at an impossible configuration.

    Returns:
        What would run: one configuration; in a multirun the first one and one for each
        further value of a sweep; nothing where a flag such as --help only informs.

    Raises:
        ConfigError: at the first mistake in the command line.
        ValueError: from a validator.
    """
    argv = settled(argv)
    flags = {argument for argument in argv if argument.startswith("-")}
    for flag in sorted(flags - MULTIRUN_FLAGS):
        if flag.partition("=")[0] in HYDRA_FLAGS:
            return []
        raise ConfigError("flag", flag, "unknown; settings are written name=value, see --help")
    lines = [argument for argument in argv if not argument.startswith("-")]
    overrides = _parse(lines, bool(flags), config_dir)
    with initialize_config_dir(str(config_dir), version_base="1.3"):
        commands = _commands(overrides) if flags else [lines]
        configs = [_compose(command) for command in commands]
    for validate in validators:
        for config in configs:
            validate(config)
    return configs


def _parse(lines: List[str], is_multirun: bool, config_dir: Path) -> List[Override]:
    """Read the overrides and refuse those that add or remove a setting, or sweep without -m."""
    try:
        overrides = OverridesParser.create().parse_overrides(lines)
    except OverrideParseException as error:
        likely = meant(error.override, config_dir)
        way_out = "write name=value" + (f"; did you mean {' or '.join(likely)}?" if likely else "")
        if "=" in error.override:
            way_out = f"{_first_line(error)}; {_in_quotes(error.override)}"
        raise ConfigError("argument", error.override, way_out) from error
    for override in overrides:
        is_fixed = not (override.is_add() or override.is_force_add() or override.is_delete())
        if not is_fixed and not _is_hydra(override):
            raise ConfigError(
                "argument", str(override.input_line), "settings are fixed: write name=value"
            )
        if override.is_sweep_override() and not is_multirun:
            name, _, value = str(override.input_line).partition("=")
            raise ConfigError(
                name,
                value,
                f"several values need a multirun (-m {name}={value}), a list brackets; "
                f"{_in_quotes(str(override.input_line))}",
            )
        _check_text(override)
    return overrides


def _check_text(override: Override) -> None:
    """Refuse a path that Hydra reads as something else, such as the number 1e3."""
    name, _, text = str(override.input_line).partition("=")
    value = override.value()
    is_other = isinstance(value, (bool, int, float, list, dict)) and str(value) != text
    if name in PATHS and is_other:
        raise ConfigError(
            name, text, f"it is read as {value!s}; {_in_quotes(str(override.input_line))}"
        )


def _in_quotes(line: str) -> str:
    """Return how to write the value of `name=value` so that it is nothing but text."""
    name, _, value = line.partition("=")
    return f"if it is text, write {shell([f'{name}={literal(unquoted(value))}'])}"


def _commands(overrides: List[Override]) -> Iterator[List[str]]:
    """Return the first run of a sweep, then one run for each further value of each setting."""
    listed = (o for o in overrides if o.is_discrete_sweep() or not o.is_sweep_override())
    values = [_sweep(override) for override in listed]
    first = [lines[0] for lines in values]
    yield first
    for i, lines in enumerate(values):
        for line in lines[1:]:
            yield [*first[:i], line, *first[i + 1 :]]


def _sweep(override: Override) -> List[str]:
    """Return `name=value` for every value of a sweep over a list or a range."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def _compose(lines: List[str]) -> Config:
    """Compose the overrides; a mistake becomes a `ConfigError`."""
    try:
        return typed(compose("config", overrides=[*for_hydra(lines), *lines]), lines)
    except MissingConfigException as error:
        raise _unknown_option(error, lines) from error
    except HydraException as error:
        cause: Optional[BaseException] = error
        while cause is not None and not isinstance(cause, OmegaConfBaseException):
            cause = cause.__cause__ or cause.__context__
        if cause is not None:
            raise _wrong_setting(cause, lines) from error
        raise ConfigError("command", " ".join(lines), _first_line(error)) from error
    except OmegaConfBaseException as error:  # A mistake in a yaml file.
        raise _wrong_setting(error, lines) from error
    except ConfigError:
        raise
    except Exception as error:  # A group set to null, or to [true]: Hydra does not look.
        reason = _first_line(error) or type(error).__name__
        way_out = f"Hydra cannot compose it ({reason}); groups take a name, see --help"
        raise ConfigError("command", " ".join(lines), way_out) from error


def _unknown_option(error: MissingConfigException, lines: Sequence[str]) -> ConfigError:
    """Explain `task=Foo`: what there is, the nearest first."""
    top, _, name = str(error.missing_cfg_file).partition("/")
    options = options_of(top, lines) or list(error.options or ())
    nearest = sorted(options, key=lambda option: -_likeness(name, option))
    more = "" if for_hydra(lines) else "; with yaml of your own: --config-dir=<folder>"
    way_out = f"there is no such {top}{did_you_mean(name, options)}"
    return ConfigError(top, name, f"{way_out} (choices: {', '.join(nearest)}{more})")


def _likeness(word: str, other: str) -> float:
    return SequenceMatcher(None, word.lower(), other.lower()).ratio()


def _wrong_setting(error: OmegaConfBaseException, lines: Sequence[str]) -> ConfigError:
    """Explain a name that the schema does not know, or a value of the wrong type."""
    key, value = str(error.full_key), str(getattr(error, "value", "?"))
    for line in lines:
        name, _, text = line.partition("=")
        if name == key or name.startswith((f"{key}.", f"{key}[")):
            key, value = name, text
    if isinstance(error, (ConfigKeyError, AttributeError)):
        owner = key.split(".")[1] if key.startswith("algo.") else ""
        if owner in trainers.names and owner not in AlgoCfg.__dataclass_fields__:
            way_out = f"only a run of algo.trainer={owner} has such settings; leave it out"
            experiment = next((line for line in lines if line.startswith("experiment=")), None)
            way_out += "" if experiment is None else f", or {experiment} which sets it"
            return ConfigError(key, "..." if value == "None" else value, way_out)
        known = _settings()
        if key in known:  # of the default task, not of this one
            way_out = "the chosen task, engine or algorithm has no such setting"
            experiment = next((line for line in lines if line.startswith("experiment=")), None)
            if experiment is not None:
                way_out += f"; leave out {experiment} or choose its own task"
            return ConfigError(key, value, way_out)
        hint = did_you_mean(key, _settings(lines))
        return ConfigError(key, value, f"there is no such setting{hint} (--help lists them)")
    message = _first_line(error)
    expected = next((text for pattern, text in _EXPECTED if pattern.search(message)), message)
    if "whole" in expected and _WITH_EXPONENT.match(value):
        expected += f", written out: {float(value):.0f}"
    return ConfigError(key, value, expected)


def _texts_from_environment(cfg: DictConfig) -> Dict[str, Any]:
    """Return the settings that came from the environment, by dotted names, as they were written.

    Settings that refer to such a setting belong to them.
    """
    texts: Dict[str, Any] = {}

    def collect(node: Any, prefix: str) -> None:
        for name, value in node.items():
            if isinstance(value, dict):
                collect(value, f"{prefix}{name}.")
            elif "${" in str(value):
                texts[f"{prefix}{name}"] = value

    collect(OmegaConf.to_container(cfg, resolve=False), "")
    found: Dict[str, Any] = {}
    for _ in texts:
        marks = ("${oc.env:", *(f"${{{name}}}" for name in found))
        found = {n: v for n, v in texts.items() if any(mark in str(v) for mark in marks)}
    return found


def _settings(lines: Sequence[str] = ()) -> List[str]:
    """Name every setting, groups included, with the options of groups that `lines` choose."""
    groups = [line for line in lines if line.partition("=")[0] in GROUPS]
    names: List[str] = []

    def collect(node: DictConfig, prefix: str) -> None:
        for key in node:
            names.append(f"{prefix}{key}")
            child: Optional[object] = node._get_node(str(key))
            if isinstance(child, DictConfig) and not child._is_none():
                collect(child, f"{prefix}{key}.")

    collect(compose("config", overrides=[*for_hydra(lines), *groups]), "")
    return names


def _is_hydra(override: Override) -> bool:
    """Return whether the override is about Hydra itself, such as its launcher."""
    return override.get_key_element().lstrip("+~").startswith("hydra")


def _first_line(error: BaseException) -> str:
    """Return the first line of a message, without the rest of a longer explanation."""
    return str(error).partition("\n")[0]
