"""Shapes, what is sent, ports and bars; no browser."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import Iterator

import numpy as np
import pytest

from epo.config import ConfigError
from epo.viewer import page as page_module
from epo.viewer.page import Page, bars, check_package, free_port, mesh
from epo.viewer.scene import Shape
from tests.viewer.double import KINDS, Solids

pytest.importorskip("viser")


@pytest.fixture
def page() -> Iterator[Page]:
    with closing(Page("127.0.0.1", 18400, "a title")) as opened:
        yield opened


@pytest.mark.parametrize(
    ("kind", "half"),
    [
        ("box", (0.1, 0.2, 0.3)),
        ("sphere", (0.2, 0.2, 0.2)),
        ("ellipsoid", (0.1, 0.2, 0.3)),
        ("cylinder", (0.1, 0.1, 0.4)),
        ("capsule", (0.1, 0.1, 0.5)),  # half length and the cap
    ],
)
def test_solids_have_their_size_around_the_origin(kind: str, half: tuple):
    vertices, faces = mesh(Shape(kind, KINDS[kind]))
    # Round ones are polygons inside the true shape: 1 % of 0.1 m.
    np.testing.assert_allclose(vertices.max(axis=0), half, atol=2e-3)
    np.testing.assert_allclose(vertices.min(axis=0), -np.array(half), atol=2e-3)
    assert faces.max() == len(vertices) - 1


def test_only_what_changed_is_sent_again(page: Page):
    scene = Solids()
    page.show(scene, [0, 1])
    handles = {key: sent.handle for key, sent in page._parts.items()}
    assert len(handles) == 2 * (1 + len(KINDS))
    # World 1 stands beside world 0.
    assert handles[1, 0].position[0] == pytest.approx(scene.spacing_m)
    scene.position = (0.0, 0.0, 0.7)
    page.show(scene, [0, 1])
    assert handles[0, 0].position[2] == pytest.approx(0.7)
    assert {key: sent.handle for key, sent in page._parts.items()} == handles
    page.clear()
    assert not page._parts


def test_nobody_looks_at_first(page: Page):
    assert not page.has_viewers
    assert page.url.startswith("http://localhost:184")


def test_a_port_that_is_taken_is_passed_over():
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < free_port("127.0.0.1", port, "port") <= port + 20
    with pytest.raises(ConfigError, match=r"record.viewer_port=8080: no page can be served at 192"):
        free_port("192.0.2.1", 8080, "record.viewer_port")


def test_bars_point_where_the_sign_does():
    text = bars({"good_one": 2.0, "bad": -1.0})
    assert "left:50.0%;width:50.0%" in text and "left:25.0%;width:25.0%" in text
    assert "good one" in text
    assert "nan" not in bars({"none": 0.0})


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(page_module, "find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"viewer=web: viser is missing: pip install 'epo\[viewer\]'"
    ):
        check_package("viewer", "web")
