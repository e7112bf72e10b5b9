"""The generated pages of the site hold what the code says."""

from __future__ import annotations

import re
import sys

import pytest

if sys.version_info < (3, 11):
    pytest.skip("the site is built with Python 3.11 or later", allow_module_level=True)

from docs.website import task_pages

NAV = (task_pages.REPOSITORY / "docs/website/mkdocs.yml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def texts():
    return {page.path: page.text for page in task_pages.pages()}


def test_every_task_has_a_page_in_the_navigation_and_a_picture(texts):
    assert len(texts) == 15
    for path in texts:
        assert f"- {path}\n" in NAV
        assert (task_pages.REPOSITORY / "docs" / path).with_suffix(".webp").exists()


@pytest.mark.parametrize(
    ("task", "observation", "action"),
    [
        ("ArmReach", 23, 7),
        ("AllegroKukaThrow", 99, 23),
        ("AllegroKukaTwoArmsReorientation", 196, 46),
    ],
)
def test_layout_covers_every_number_once(texts, task: str, observation: int, action: int):
    text = texts[f"tasks/{task}.md"]
    for title, size in (("Observation", observation), ("Action", action)):
        section = text.partition(f"## {title}: {size} numbers")[2].partition("\n## ")[0]
        ranges = re.findall(r"^\| (\d+)(?:–(\d+))? \|", section, re.MULTILINE)
        found = [i for first, last in ranges for i in range(int(first), int(last or first) + 1)]
        assert found == list(range(size))


def test_rewards_are_those_of_the_task(texts):
    two_arms = texts["tasks/AllegroKukaTwoArmsRegrasping.md"]
    assert "| arm_penalty | `arm_penalty` | 0 |" in two_arms
    assert "| success | `success` | 1000 |" in two_arms
    assert "| arm_penalty | `arm_penalty` | −0.003 |" in texts["tasks/AllegroKukaThrow.md"]


def test_curriculum_is_told_where_there_is_one(texts):
    assert "tightens to 0.015 m" in texts["tasks/AllegroKukaReorientation.md"]
    assert "tightens" not in texts["tasks/AllegroKukaThrow.md"].partition("## Settings")[0]


def test_every_algorithm_is_on_the_overview():
    page = (task_pages.REPOSITORY / "docs/algorithms/README.md").read_text(encoding="utf-8")
    table = page.partition("\n## ")[0]
    for path in (task_pages.REPOSITORY / "cfg/algo").glob("*.yaml"):
        name = path.stem.replace("ppo_coscaled_adaptive", "ppo_coscaled")
        assert f"`{name}`" in table, path.stem
