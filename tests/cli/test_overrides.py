from __future__ import annotations

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from epo.cli.overrides import merge, overrides
from epo.runner.run_folder import as_plain
from tests.composed import composed


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        -0.5,
        1e-06,
        float("inf"),
        "word",
        "",
        "null",
        "1",
        "[x]",
        "two words",
        "it's",
        "back\\",
        "a\\'b",
        ["a", "b'c"],
        [1, 2.5],
        [],
    ],
)
def test_values_survive_the_grammar_of_overrides(value: Any):
    (line,) = overrides({"x": value})
    parsed = OverridesParser.create().parse_override(line).value()
    if isinstance(value, list):
        parsed = [getattr(item, "text", item) for item in parsed]  # type: ignore[union-attr]
    parsed = getattr(parsed, "text", parsed)
    assert parsed == value and type(parsed) is type(value)


def test_saved_configuration_composes_again():
    cfg = composed("experiment=laptop", "task.objects.sets=[sticks]", "engine=mujoco", "seed=3")
    names = ("task", "engine", "algo", "num_agents", "num_envs", "seed")
    saved = {name: value for name, value in as_plain(cfg).items() if name in names}
    again = as_plain(composed(*overrides(saved)))
    assert {name: again[name] for name in names} == saved


def test_given_overrides_win_and_another_option_clears_its_group():
    saved = ["task=A", "task.length=1", "algo=epo", "algo.ppo.gamma=0.9", "seed=0"]
    assert merge(saved, ["task.length=2", "seed=1"]) == [
        *("task=A", "algo=epo", "algo.ppo.gamma=0.9", "task.length=2", "seed=1")
    ]
    assert merge(saved, ["task=B"]) == ["algo=epo", "algo.ppo.gamma=0.9", "seed=0", "task=B"]
