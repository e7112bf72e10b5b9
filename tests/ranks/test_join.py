"""Ranks that do not find each other."""

from __future__ import annotations

import socket

import pytest
import torch

from epo.config import ConfigError
from epo.ranks import ALONE
from epo.ranks.join import joined
from epo.world import VARIABLES

CPU = torch.device("cpu")


def test_a_process_without_a_launcher_is_alone():
    with joined(CPU, 1.0) as ranks:
        assert ranks is ALONE


def test_a_port_in_use_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        values = ("0", "2", "0", "2", "localhost", port)
        for name, value in zip(VARIABLES, values):
            monkeypatch.setenv(name, value)
        with pytest.raises(ConfigError) as caught, joined(CPU, 2.0):
            pass
    text = str(caught.value)
    assert "\n" not in text and port in text and "free port" in text
