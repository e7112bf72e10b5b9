from __future__ import annotations

from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from epo.record import yaml as module
from epo.record.yaml import read_yaml
from tests.composed import composed

SCALARS = """
a: [1, -2, 1e-5, 1.0e-05, .5, 1_000, 0x10, .inf, -.inf, 12:30, 2020-01-01]
b: {yes: no, on: 'off', none: null, tilde: ~, quoted: '1e-5', text: größe · "x"}
c: ${oc.env:HOME}
d: |
  two
  lines
"""


@pytest.fixture(params=["C", "Python"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "Python":
        monkeypatch.setattr(module, "_Loader", module._OMEGACONF)


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize("text", [SCALARS, None], ids=["scalars", "a run"])
def test_content_is_what_omegaconf_reads(tmp_path, text: Any):
    path = tmp_path / "config.yaml"
    path.write_text(text or OmegaConf.to_yaml(composed("task=ProbeReach")), encoding="utf-8")
    expected = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert read_yaml(path) == expected


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(
    "text", ["a: 1\na: 2", "a: [", "a: !!python/object/apply:os.getcwd []", "\tb", "a: b: c"]
)
def test_damage_repeated_names_and_python_objects_are_refused(tmp_path, text: str):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(yaml.YAMLError):
        read_yaml(path)
