"""Text of any kind survives the shell and Hydra's grammar."""

from __future__ import annotations

import random
import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from epo.quoting import assignment, literal, quoted, shell, short_path, unquoted

NAMES = [
    *(
        "runs/a",
        "a b",
        "a=b",
        "a,b",
        "[x]",
        "{x}",
        "'q'",
        '"dq"',
        "it's",
        "$HOME",
        "${x}",
        "\\${x}",
    ),
    *("ä ö/日本", "back\\", 'a\\"b', "a\\'b", "1e3", "007", "1_000", "null", "true", "~x", "a:b"),
    *(
        "#",
        "%",
        "",
        "-x",
        "--",
        "\\",
        "\\\\",
        "*",
        "?",
        "(x)",
        "a;b",
        "a&b",
        "tab\tx",
        "`ls`",
        "a|b",
    ),
    *("${oc.env:HOME}", "!x", "x ", " x", "2024_seed0"),
]
ALPHABET = "a\\\"'${}[],= :é#~1"


def names():
    draw = random.Random(0)
    lengths = (draw.randint(1, 7) for _ in range(500))
    return [*NAMES, *("".join(draw.choices(ALPHABET, k=length)) for length in lengths)]


def read(line: str):
    """Read the value of an override as Hydra does."""
    value = OverridesParser.create().parse_override(line).value()
    return OmegaConf.create({"x": getattr(value, "text", value)}).x


def test_any_text_survives_the_shell_and_hydra():
    for name in names():
        line = assignment("run_dir", name)
        assert shlex.split(shell([line])) == [line]
        assert read(line) == name, line
        assert unquoted(line.partition("=")[2]) == name, line


@pytest.mark.parametrize("name", ["runs/a-b.c/d_1", "/tmp/x", "../x", "auto"])
def test_plain_words_stay_plain(name: str):
    assert literal(name) == name


def test_references_stay_references_in_saved_settings():
    line = f"x={quoted('${y}')}"
    value = OverridesParser.create().parse_override(line).value()
    assert OmegaConf.create({"x": getattr(value, "text", value), "y": 3}).x == 3


@pytest.mark.parametrize("value", [3, 0.5, True, "auto"])
def test_numbers_are_written_as_they_are(value: object):
    assert assignment("x", value) == f"x={value}"


def test_paths_below_the_current_folder_are_short(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert short_path(tmp_path / "runs" / "one") == "runs/one"
    assert short_path(tmp_path.parent / "two") == str(tmp_path.parent / "two")
    assert short_path(tmp_path / "..three") == "..three"
