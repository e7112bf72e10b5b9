"""Somebody has decided for every setting whether a resumed run may change it."""

from __future__ import annotations

import pytest

from epo.config.resume import FIXED, RESUME, no_effect, rule
from tests.composed import REPOSITORY, composed
from tests.settings import every_setting


def test_every_setting_has_a_rule():
    for name in every_setting():
        rule(name)
    with pytest.raises(KeyError):
        rule("nothing.of.the.kind")


def test_every_rule_is_of_a_setting_or_a_group():
    names = every_setting()
    for name in RESUME:
        assert any(f"{other}.".startswith(f"{name}.") for other in names), name


def test_exceptions_within_a_group_differ_from_it():
    for name, own in RESUME.items():
        group = name.rpartition(".")[0]
        assert group not in RESUME or RESUME[group] != own, name


def test_page_names_what_is_refused():
    page = (REPOSITORY / "docs/runs.md").read_text(encoding="utf-8")
    (row,) = (line for line in page.splitlines() if line.startswith("| refused |"))
    for name in (name for name, own in RESUME.items() if own == FIXED):
        short = name.partition(".")[2]
        assert f"`{name}`" in row or f".{short}" in row, name


@pytest.mark.parametrize(
    ("lines", "name", "has_effect"),
    [
        (["algo=ppo"], "algo.ppo.learning_rate", False),
        (["algo=ppo", "algo.ppo.schedule=fixed"], "algo.ppo.learning_rate", True),
        (["algo=ppo_kl"], "algo.penalty.coef", False),
        (["algo=ppo_kl", "algo.penalty.kind=fixed"], "algo.penalty.coef", True),
        (["algo=pbt"], "algo.ppo.gamma", False),
        (["algo=ppo"], "algo.ppo.gamma", True),
    ],
)
def test_what_would_change_nothing_is_known(lines, name: str, has_effect: bool):
    assert (no_effect(composed(*lines), name) == "") is has_effect
