"""The page that a browser shows: worlds in three dimensions, and what was sent of them."""

from __future__ import annotations

import contextlib
import io
import socket
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np

from epo.config import ConfigError
from epo.viewer.scene import Camera, Part, Scene, Shape

if TYPE_CHECKING:
    import viser

EXTRA = "pip install 'epo[viewer]'"
MOVED_M = 1e-5
"""Changes of position or orientation below this are not sent."""
SKY = 235
PORTS = 20
"""Ports that are tried, one after the other."""


def check_package(setting: str, value: str) -> None:
    """Refuse to view without viser.

    Raises:
        ConfigError: naming the setting and what to install.
    """
    if find_spec("viser") is None or find_spec("trimesh") is None:
        raise ConfigError(setting, value, f"viser is missing: {EXTRA}")


def free_port(host: str, first: int, setting: str) -> int:
    """Return the first free port from `first` on.

    Raises:
        ConfigError: if none of `PORTS` is free, or the host is not of this machine.
    """
    reason = "none is free"
    for port in range(first, min(first + PORTS, 65536)):
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                reason = error.strerror or str(error)
                continue
            return port
    raise ConfigError(setting, first, f"no page can be served at {host} from there on ({reason})")


class Sent(NamedTuple):
    """A part as the page has it, and viser's handle of it."""

    part: Part
    handle: Any


class Page:
    """A server of one page.

    Args:
        host: address that it listens at; 127.0.0.1 answers this machine only.
        port: the first to try.
        title: of the page.
        setting: that holds the port, for the message.

    Attributes:
        server: viser's, for what else the page shows.
        url: where the page is.

    Raises:
        ConfigError: if viser is missing or no port is free.
    """

    def __init__(self, host: str, port: int, title: str, setting: str = "port") -> None:
        check_package("viewer", "web")
        import viser

        port = free_port(host, port, setting)
        with open_silently():
            self.server: viser.ViserServer = viser.ViserServer(host, port, title, verbose=False)
        shown = "localhost" if host in ("127.0.0.1", "0.0.0.0") else host
        self.url = f"http://{shown}:{self.server.get_port()}"
        self._parts: Dict[Tuple[int, int], Sent] = {}
        self.server.scene.set_background_image(np.full((2, 2, 3), SKY, dtype=np.uint8))
        self.server.gui.configure_theme(control_width="medium", show_logo=False)

    @property
    def has_viewers(self) -> bool:
        """Whether anybody looks."""
        return bool(self.server.get_clients())

    def look(self, camera: Camera, num_worlds: int, spacing_m: float) -> None:
        """Let everybody who comes begin with this view, wide enough for all worlds."""
        aim = np.add(camera.aim, (0.5 * (num_worlds - 1) * spacing_m, 0.0, 0.0))
        back = np.subtract(camera.eye, camera.aim) * (1.0 + 0.6 * (num_worlds - 1))
        first = self.server.initial_camera
        first.position, first.look_at, first.up = aim + back, aim, np.asarray(camera.up)

    def show(self, scene: Scene, worlds: Sequence[int]) -> None:
        """Send what has changed since the last call; worlds stand side by side."""
        with self.server.atomic():
            for place, world in enumerate(worlds):
                shift = (place * scene.spacing_m, 0.0, 0.0)
                for index, part in enumerate(scene.parts(world)):
                    self._send((place, index), part, shift)

    def clear(self) -> None:
        """Take everything off the page."""
        for sent in self._parts.values():
            sent.handle.remove()
        self._parts.clear()

    def close(self) -> None:
        """End the server."""
        with open_silently():
            self.server.stop()

    def _send(self, key: Tuple[int, int], part: Part, shift: Sequence[float]) -> None:
        position = np.add(part.position, shift)
        part = part._replace(position=position, wxyz=np.asarray(part.wxyz))
        known = self._parts.get(key)
        if known is not None and known.part.shape == part.shape:
            _update(known.handle, known.part, part)
            self._parts[key] = Sent(part, known.handle)
            return
        if known is not None:
            known.handle.remove()
        handle = add(self.server.scene, f"/world_{key[0]}/part_{key[1]}", part)
        self._parts[key] = Sent(part, handle)


def add(api: Any, name: str, part: Part) -> Any:
    """Put a part on a page of viser; returns its handle."""
    shape, pose = part.shape, {"position": part.position, "wxyz": part.wxyz}
    if shape.kind == "plane":
        width, height = (2.0 * half for half in shape.size[:2])
        return api.add_grid(name, width, height, plane_color=shape.color, plane_opacity=1.0, **pose)
    if shape.kind == "picture":
        return api.add_image(name, part.picture, *shape.size[:2], format="png", **pose)
    vertices, faces = mesh(shape)
    opacity = None if shape.opacity >= 1.0 else shape.opacity
    is_round = shape.kind != "box"
    return api.add_mesh_simple(
        name,
        vertices,
        faces,
        color=shape.color,
        opacity=opacity,
        flat_shading=not is_round,
        cast_shadow=opacity is None,
        **pose,
    )


def mesh(shape: Shape) -> Tuple[np.ndarray, np.ndarray]:
    """Return vertices [V, 3], m, and faces [F, 3] of a solid shape around the origin."""
    from trimesh import creation

    size = shape.size
    if shape.kind == "box":
        found = creation.box(extents=[2.0 * half for half in size[:3]])
    elif shape.kind == "cylinder":
        found = creation.cylinder(radius=size[0], height=2.0 * size[1], sections=32)
    elif shape.kind == "capsule":
        found = creation.capsule(height=2.0 * size[1], radius=size[0], count=[16, 16])
    else:
        found = creation.icosphere(subdivisions=3, radius=1.0)
        found.apply_scale(size[:3] if shape.kind == "ellipsoid" else (size[0],) * 3)
    vertices = np.asarray(found.vertices, dtype=np.float32)
    if shape.kind == "capsule":  # some versions begin at the lower cap's centre
        vertices = vertices - 0.5 * (vertices.max(axis=0) + vertices.min(axis=0))
    return vertices, np.asarray(found.faces, dtype=np.uint32)


@contextlib.contextmanager
def open_silently() -> Iterator[None]:
    """Let no library print while a server starts or ends: the address is ours to say."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _update(handle: Any, old: Part, new: Part) -> None:
    """Send what has changed of a part."""
    if _differ(old.position, new.position):
        handle.position = new.position
    if _differ(old.wxyz, new.wxyz):
        handle.wxyz = new.wxyz
    if new.shape.kind == "picture" and not np.array_equal(old.picture, new.picture):
        handle.image = new.picture


def _differ(one: Any, other: Any) -> bool:
    return bool(np.abs(np.subtract(one, other)).max() > MOVED_M)


def bars(terms: Dict[str, float]) -> str:
    """Draw the terms of a reward as HTML: a bar each, to the right where it is positive."""
    most = max((abs(value) for value in terms.values()), default=0.0) or 1.0
    rows: List[str] = []
    for name, value in terms.items():
        share = 50.0 * abs(value) / most
        left = 50.0 if value >= 0.0 else 50.0 - share
        color = "#48aa60" if value >= 0.0 else "#c8503c"
        rows.append(
            '<div style="display:flex;align-items:center;font-size:12px;gap:6px;margin:2px 0">'
            f'<span style="width:42%">{name.replace("_", " ")}</span>'
            '<span style="flex:1;height:9px;background:#8884;position:relative">'
            f'<span style="position:absolute;left:{left:.1f}%;width:{share:.1f}%;'
            f'height:100%;background:{color}"></span></span>'
            f'<span style="width:4.5em;text-align:right">{value:.3g}</span></div>'
        )
    return f'<div style="padding:0 12px">{"".join(rows)}</div>'
