"""`python -m epo bench peers`: which peers, in which order, and what is printed."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ContextManager, Dict, List, Type

import pytest

from epo.__main__ import main as epo_main
from epo.cli.bench import peer_environment, peer_process, peers
from epo.config import ConfigError
from tests.cli.bench.test_peer_job import SMALL

RATES = {"epo": 30.0, "rl_games": 10.0, "rl_games_our_openmp": 20.0, "epo_default": 25.0}


class FakePeer:
    """Writes down its turns and answers with made-up numbers."""

    def __init__(self, name: str, order: List[str]) -> None:
        self.name, self._order = name, order

    def turn(self) -> Dict[str, Any]:
        """Return a row."""
        self._order.append(self.name)
        times = {"rollout_s": 1.0, "update_s": 2.0, "peak_mem_mb": 3.0}
        return {"samples_per_s": RATES[self.name], "precision": "fp32", "versions": {}, **times}


@pytest.fixture()
def measured(monkeypatch: pytest.MonkeyPatch) -> List[str]:
    """Replace the processes by numbers; give the names of the peers in the order of turns."""
    order: List[str] = []

    def start(name: str, *_: Any) -> ContextManager[FakePeer]:
        return nullcontext(FakePeer(name, order))

    monkeypatch.setattr(peer_process, "PEERS", dict.fromkeys(RATES, start))
    monkeypatch.setattr(peer_environment, "peer_python", lambda existing: Path("python"))
    monkeypatch.setattr(peers, "has_bf16", lambda device: False)
    return order


def bench(capsys: pytest.CaptureFixture[str], *arguments: str) -> List[Dict[str, Any]]:
    """Run the bench and give its lines of JSON."""
    epo_main(["bench", "peers", *SMALL, *arguments])
    lines = capsys.readouterr().out.splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_turns_alternate_and_ratios_are_printed(
    measured: List[str], capsys: pytest.CaptureFixture[str]
):
    (content,) = bench(capsys, "net=mlp", "turns=2", "warm_up=1", "also=epo_default")
    names = ["epo", "rl_games", "rl_games_our_openmp", "epo_default"]
    assert measured == [*reversed(names), *names, *reversed(names)]
    assert [len(row["turns"]) for row in content["rows"]] == [2, 2, 2, 2]
    assert {row["peer"]: row["ratio"] for row in content["rows"]} == {
        "epo": 1.5,
        "rl_games": 0.5,
        "rl_games_our_openmp": 1.0,
        "epo_default": 1.25,
    }
    assert (content["num_envs"], content["net"], content["work"]["samples"]) == (8, "mlp", 128)


def test_every_configuration_has_a_line(measured: List[str], capsys: pytest.CaptureFixture[str]):
    contents = bench(capsys, "turns=1")
    assert [content["net"] for content in contents] == ["lstm", "mlp"]


def test_bf16_is_measured_where_the_device_has_it(monkeypatch: pytest.MonkeyPatch):
    for has_bf16 in (False, True):
        monkeypatch.setattr(peers, "has_bf16", lambda device, has=has_bf16: has)
        assert ("epo_bf16" in peers.peers_for("cpu", [])) is has_bf16


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ConfigError("peer", "epo_default", "ended with 1: out of memory"), ConfigError),
        (KeyboardInterrupt(), SystemExit),
    ],
)
def test_what_was_measured_is_printed_if_a_later_turn_fails(
    measured: List[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    raised: Type[BaseException],
):
    class Broken(FakePeer):
        def turn(self) -> Dict[str, Any]:
            if len(measured) == 7:
                raise error
            return super().turn()

    def start(name: str, *_: Any) -> ContextManager[FakePeer]:
        return nullcontext(Broken(name, measured))

    monkeypatch.setattr(peer_process, "PEERS", dict.fromkeys(RATES, start))
    with pytest.raises(raised):
        bench(capsys, "net=mlp", "warm_up=0", "also=epo_default")
    content = json.loads(capsys.readouterr().out.splitlines()[-1])
    # The second turn, in the opposite order, ended before ours.
    assert [len(row["turns"]) for row in content["rows"]] == [1, 2, 2, 2]
    assert content["rows"][0]["ratio"] == 1.5


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("turns=0", "turns=0: use at least 1"),
        ("dones=1.5", r"dones=1\.5: use a number from 0 to 1"),
        ("also=rl_games_compile", "also=rl_games_compile: unknown; did you mean rl_games_compiled"),
        ("algo=epo", "algo=epo: both sides are PPO"),
    ],
)
def test_wrong_setting_is_one_line(measured: List[str], argument: str, message: str):
    with pytest.raises(ConfigError, match=message):
        epo_main(["bench", "peers", *SMALL, argument])
    assert measured == []


def test_help_explains_the_peers(capsys: pytest.CaptureFixture[str]):
    epo_main(["bench", "peers", "--help"])
    out = capsys.readouterr().out
    for name in (*peers.ALWAYS, *peers.ALSO):
        assert name in out and name in peer_process.PEERS
