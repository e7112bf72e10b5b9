from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Iterator

import pytest

from epo.runner.guard import STOP_SIGNALS, NonFiniteError, StopSignal, check_finite


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Hear hang-ups, which nohup lets these tests ignore."""
    ignored = [x for x in STOP_SIGNALS if signal.getsignal(x) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
        (signal.SIGHUP, 129),
        (signal.SIGUSR1, 138),
        (signal.SIGUSR2, 140),
    ],
    ids=["ctrl-c", "term", "hang-up", "slurm", "submitit"],
)
def test_signal_asks_to_stop_and_gives_the_exit_code(number: int, code: int):
    with StopSignal() as stop:
        assert not stop
        assert stop.exit_code == 0
        os.kill(os.getpid(), number)
        assert stop
        assert stop.exit_code == code


def test_second_ctrl_c_stops_at_once():
    with pytest.raises(KeyboardInterrupt), StopSignal():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_second_term_signal_goes_on_saving():
    with StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.exit_code == 143


def test_first_signal_gives_the_exit_code():
    with StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.exit_code == 143


def test_user_is_told_at_once(capfd: pytest.CaptureFixture):
    with StopSignal():
        os.kill(os.getpid(), signal.SIGINT)
    assert "Ctrl-C again quits at once" in capfd.readouterr().err


def test_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with StopSignal() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_are_given_back():
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    with StopSignal():
        assert all(signal.getsignal(n) is not old for n, old in zip(STOP_SIGNALS, before))
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before


def test_other_threads_train_without_signals():
    seen = []

    def train() -> None:
        with StopSignal() as stop:
            seen.append(bool(stop))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert seen == [False]


def test_finite_metrics_pass():
    check_finite({"kl": 0.0, "loss": -1e30}, 1, Path("last.pt"), "algo.ppo")


@pytest.mark.parametrize("group", ["algo.ppo", "algo.pql"])
def test_diverged_metrics_are_named_with_the_way_out(group: str, tmp_path: Path):
    last = tmp_path / "last.pt"
    metrics = {"kl": float("inf"), "lr": 1e-4, "value_loss": float("nan")}
    for start in ("", f"checkpoint={last} "):  # before and after the first checkpoint
        with pytest.raises(NonFiniteError) as caught:
            check_finite(metrics, 37, last, group)
        message = str(caught.value)
        assert message.startswith("kl=inf, value_loss=nan in iteration 37")
        assert " lr=" not in message
        assert f"steps: {start}{group}.learning_rate=... (or {group}.max_grad_norm=...)" in message
        last.touch()
