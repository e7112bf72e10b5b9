"""Golden vectors taken from the original implementations; they live beside the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

import numpy as np
import pytest

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden"


def golden(name: str) -> Dict[str, np.ndarray]:
    """Load `name` (an .npz file) or skip the calling test where the folder is absent."""
    if not GOLDEN.is_dir():
        pytest.skip(f"golden vectors are not here ({name}): they are not part of the repository")
    with np.load(GOLDEN / name) as arrays:
        return dict(arrays)
