"""Tables of settings, made from the classes that hold them."""

from __future__ import annotations

import sys

import pytest

if sys.version_info < (3, 11):
    pytest.skip("the site is built with Python 3.11 or later", allow_module_level=True)

from docs.website.settings import escape, show, walk
from tests.composed import composed


def test_every_setting_has_its_doc_line():
    found = {one.name: one for one in walk(composed(), "")}
    assert [name for name, one in found.items() if not one.doc] == []
    assert found["algo.ppo.gamma"].value == 0.99
    assert found["algo.ppo.gamma"].doc.startswith("Discount per control step")


def test_fields_of_a_subclass_take_its_own_words():
    found = {one.name: one.doc for one in walk(composed("task=DeceptiveMaze").task, "task.")}
    assert "the approach to the goal" in found["task.reward"]
    assert found["task.action_delay"].startswith("Control steps from the choice")


def test_cells_hold_bars_and_angles():
    assert escape("KL(a || b) < `x<y>`") == r"KL(a \|\| b) &lt; `x<y>`"


def test_values_are_written_as_on_the_command_line():
    shown = [show(value) for value in (None, True, [256, 128], 1e-4, "")]
    assert shown == ["`null`", "`true`", "`[256, 128]`", "`0.0001`", "`''`"]
