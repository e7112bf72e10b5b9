"""Where yaml files are looked for beside `cfg/`: one setting, however it was written.

`--config-dir=DIR` and `hydra.searchpath=[...]` are Hydra's ways to say it. Hydra reads them before
it composes, so a configuration would not remember them; the setting `search_path` does.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any, Dict, List, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from epo.config import ConfigError
from epo.quoting import literal, unquoted

NAME = "search_path"
HYDRA = "hydra.searchpath"
FLAGS = ("--config-dir", "-cd")
FILE, PACKAGE = "file://", "pkg://"


def settled(words: Sequence[str]) -> List[str]:
    """Return the words with everything they say about the search path in one `search_path=[...]`.

    It comes after the last setting; folders are absolute. Where the words say nothing, that of the
    run which `resume=<run>` names is taken.

    Raises:
        ConfigError: if something on the search path is not there.
    """
    found: List[str] = []
    others: List[str] = []
    rest = iter(words)
    for word in rest:
        name, is_set, value = word.partition("=")
        if name in FLAGS:
            folder = value if is_set else next(rest, "")
            if not folder:
                raise ConfigError("flag", name, f"name a folder: {FLAGS[0]}=<folder>")
            found.append(folder)
        elif name in (NAME, HYDRA):
            found += _listed(word)
        else:
            others.append(word)
    places = [_place(text) for text in found] or _of_resumed(others)
    return _with(others, f"{NAME}=[{','.join(map(literal, places))}]") if places else others


def told_to_hydra(words: Sequence[str]) -> List[str]:
    """Return settled words with what tells Hydra their search path, for its own command line."""
    told = list(words)
    for word in for_hydra(words):
        told = _with(told, word)
    return told


def _with(words: List[str], setting: str) -> List[str]:
    """Put a setting after the last one: Hydra takes settings only in a row, flags around them."""
    ends = [i + 1 for i, word in enumerate(words) if "=" in word and not word.startswith("-")]
    at = ends[-1] if ends else len(words)
    return [*words[:at], setting, *words[at:]]


def for_hydra(words: Sequence[str]) -> List[str]:
    """Return what tells Hydra the `search_path` of settled words; nothing without one."""
    lines = [word for word in words if word.startswith(f"{NAME}=")]
    places = [place for line in lines for place in _listed(line)]
    urls = [place if place.startswith(PACKAGE) else f"{FILE}{place}" for place in places]
    return [f"{HYDRA}=[{','.join(map(literal, urls))}]"] if urls else []


def _listed(word: str) -> List[str]:
    """Read the list in `name=[...]`."""
    name, _, text = word.partition("=")
    try:
        value: Any = OverridesParser.create().parse_override(word).value()
    except HydraException:
        value = None
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [unquoted(str(item)) for item in value]
    raise ConfigError(name, text, f"give a list of folders, such as {name}=[/my/cfg]")


def _place(text: str, whose: str = "") -> str:
    """Return a folder as an absolute path, a package as it is; refuse what is not there."""
    if text.startswith(PACKAGE):
        try:
            is_there = find_spec(text[len(PACKAGE) :]) is not None
        except ImportError:
            is_there = False
        if not is_there:
            raise ConfigError(NAME, text, f"there is no such package{whose}")
        return text
    path = text[len(FILE) :] if text.startswith(FILE) else text
    folder = os.path.abspath(os.path.expanduser(path))
    if not os.path.isdir(folder):
        way_out = f"there is no such folder{whose}; name the one that holds task/, experiment/ ..."
        raise ConfigError(NAME, text, f"{way_out}: {FLAGS[0]}=<folder>")
    return folder


def _of_resumed(words: Sequence[str]) -> List[str]:
    """Return the search path of the run that the words resume; nothing if they resume none."""
    runs = [word.partition("=")[2] for word in words if word.startswith("resume=")]
    run = unquoted(runs[-1] if runs else "")
    # A checkpoint is <run>/checkpoints/<name>.pt.
    folder = os.path.dirname(os.path.dirname(run)) if os.path.isfile(run) else run
    config = os.path.join(folder, "config.yaml")
    if not folder or not os.path.isfile(config):
        return []
    try:
        saved: Dict[Any, Any] = dict(OmegaConf.load(config))  # type: ignore[arg-type]
        found = [str(text) for text in saved.get(NAME, ())]
    except Exception:  # damaged: what becomes of the run is said where it is resumed
        return []
    return [_place(text, f", which {run} was composed with") for text in found]
