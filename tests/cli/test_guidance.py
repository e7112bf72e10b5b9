"""What a beginner reads."""

from __future__ import annotations

import re

import pytest

from epo.cli import environment
from epo.cli.guidance import WIDEST, before, help_text, options
from tests.composed import composed


@pytest.fixture(autouse=True)
def _registered() -> None:  # pyright: ignore[reportUnusedFunction]
    environment.register()


def test_help_offers_what_can_be_chosen_and_nothing_else():
    text = help_text(environment.CONFIG_DIR)
    assert "AllegroKukaRegrasping" in text and "max_minutes" in text and "python -m epo" in text
    assert not re.search(r"\bbase", text)
    for group, names in options(environment.CONFIG_DIR).items():
        assert all(name in text for name in names), group
    assert "laptop" in options(environment.CONFIG_DIR)["experiment"]


def test_help_fits_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    narrow = help_text(environment.CONFIG_DIR).splitlines()
    assert max(map(len, narrow)) <= 80
    monkeypatch.setenv("COLUMNS", "300")
    assert max(map(len, help_text(environment.CONFIG_DIR).splitlines())) <= WIDEST


def test_a_run_without_end_says_how_it_ends():
    cfg = composed("task=ProbeReach")
    (line,) = before(cfg, ["train.py"], ["task=ProbeReach"])
    assert "Ctrl-C" in line and "max_minutes" in line
    assert (
        before(composed("task=ProbeReach", "max_frames=10"), ["train.py"], ["max_frames=10"]) == []
    )


def test_no_arguments_say_where_to_begin():
    text = "\n".join(before(composed(), ["train.py"], []))
    assert "train.py experiment=laptop" in text and "train.py --help" in text
