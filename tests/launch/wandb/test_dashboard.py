from __future__ import annotations

import pytest
import yaml

from epo.config import ConfigError
from launch.wandb import dashboard
from tests.composed import REPOSITORY


def test_view_has_a_section_for_every_subject():
    pytest.importorskip("wandb_workspaces")
    view = dashboard.build("team", "epo")
    names = [section.name for section in view.sections]
    assert names == ["Leader", "Population", "Genes", "Generations", "Health", "Speed"]
    panels = [panel for section in view.sections for panel in section.panels]
    assert all(panel.x in ("Step", "_step") and panel.y for panel in panels)


def test_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb_workspaces", None)
    with pytest.raises(ConfigError, match="pip install wandb wandb-workspaces"):
        dashboard.build("team", "epo")


def test_sweep_of_agents_names_settings_that_exist():
    from epo.cli import environment

    sweep = yaml.safe_load((REPOSITORY / "launch" / "wandb" / "sweep.yaml").read_text())
    fixed = [word for word in sweep["command"] if "=" in word]
    for name, values in sweep["parameters"].items():
        value = values["values"][0] if "values" in values else values["min"]
        environment.configurations([*fixed, f"{name}={value}"])
