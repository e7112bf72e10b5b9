from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import pytest

from epo.cli.arguments import check_least, split
from epo.config import ConfigError


@dataclass
class Options:
    """What a verb takes."""

    folder: Optional[str] = None
    name: str = "x"
    steps: int = 3


@pytest.mark.parametrize("text", ["[a]", "1e3", "a: b", "a=b", "${x}", "ä", "{", "#x", "it's"])
def test_texts_are_taken_as_they_are(text: str):
    options, others = split([f"folder={text}", "other=1"], Options())
    assert (options.folder, options.steps, others) == (text, 3, ["other=1"])


def test_quotes_around_a_text_are_not_part_of_it():
    options, _ = split(['folder="a b"', "name='q'", "steps=5"], Options())
    assert options == Options("a b", "q", 5)
    assert split(["folder=null", "name=null"], Options())[0] == Options(None, "null")


@pytest.mark.parametrize("value", ["many", "[", "null"])
def test_wrong_type_is_one_line(value: str):
    with pytest.raises(ConfigError, match=r"^steps=") as caught:
        split([f"steps={value}"], Options())
    assert "\n" not in str(caught.value)


def test_options_below_what_is_possible_are_refused():
    check_least(Options(), steps=3)
    with pytest.raises(ConfigError, match=r"^steps=3: use at least 4$"):
        check_least(Options(), steps=4)


def test_option_that_was_not_given_is_not_too_small():
    check_least(Options(folder=None), folder=1, steps=1)
