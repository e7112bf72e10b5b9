"""Whether this machine can draw; tests that need it say so when they are skipped."""

from __future__ import annotations

import pytest


def _reason() -> str:
    try:
        import mujoco

        from tasks.engines.drawing import Canvas

        model = mujoco.MjModel.from_xml_string("<mujoco/>")  # pyright: ignore
        Canvas(model, 64, 64).close()
    except (ImportError, ValueError) as error:
        return f"cannot draw here: {error}"
    return ""


REASON = _reason()
needs_opengl = pytest.mark.skipif(bool(REASON), reason=REASON)
