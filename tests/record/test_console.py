from __future__ import annotations

import io
from dataclasses import replace
from typing import Any, Dict

import pytest
from rich.console import Console

from epo import terminal
from epo.record import console as module
from epo.record.console import LiveConsole, PlainConsole, build_console, split
from epo.record.names import FRAMES_TO_GENERATION, agent_fitness
from epo.record.progress import RunPlan
from epo.terminal import PLAIN
from tests.stand_in import replace_in

PLAN = RunPlan("Probe · epo", "3 agents × 4 envs · probe on cpu", "runs/x", max_frames=1000)


def row(iteration: int, **extra: float) -> Dict[str, float]:
    return {
        "iteration": iteration,
        "frames": 100 * iteration,
        "wall_s": float(iteration),
        "fps": 100.0,
        "sim_s": 3.0,
        "learn_s": 1.0,
        "leader/fitness": 2.5,
        "population/fitness_mean": 1.25,
        **agent_fitness([0.5, 7.5, float("nan")]),
        FRAMES_TO_GENERATION: 2500.0,
        **extra,
    }


class Time:
    """A clock that the test sets."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_plain_prints_at_most_one_line_per_interval_and_the_last_row():
    stream, time = io.StringIO(), Time()
    plain = PlainConsole(PLAN, interval_s=10.0, stream=stream, now=time)
    for iteration in range(1, 26):  # one row per second
        time.now_s = float(iteration)
        plain.write(100 * iteration, row(iteration))
    plain.close()
    lines = stream.getvalue().splitlines()
    assert "Probe · epo" in lines[0]
    shown = [line.partition("iteration ")[2].partition(" ")[0] for line in lines[1:]]
    assert shown == ["1", "11", "21", "25"]


def test_plain_line_holds_the_numbers_that_matter():
    stream = io.StringIO()
    plain = PlainConsole(PLAN, 0.0, stream, Time())
    plain.write(100, row(1))
    plain.generation({"replaced": "[0]", "frames": 150})
    plain.write(200, row(2))
    last = stream.getvalue().splitlines()[-1]
    for text in (
        "20.0%, 0:00:08 left",  # 800 frames at 100 frames/s
        "200 frames",
        "100 frames/s (sim 75%, learn 25%)",  # 3 s of 4 s
        "fitness 2.50",
        "population mean 1.25",
        "(#01)",
        "next generation in 2.50 k frames",
        "generations here: 1",
    ):
        assert text in last
    assert "tolerance" not in last


def test_headline_of_the_task_is_shown_where_there_are_numbers_of_it():
    plan = replace(PLAN, headline=("doors_opened", "difficulty", "unheard_of"))
    told = {"leader/doors_opened": 7.25, "difficulty": 0.25}
    stream = io.StringIO()
    PlainConsole(plan, 0.0, stream, Time()).write(100, row(1, **told))
    screen = show(80, plan, **told)
    for text in (stream.getvalue(), screen):
        assert "unheard" not in text
        for label, value in (("doors opened", "7.25"), ("difficulty", "0.25")):
            assert value in text.partition(label)[2][:30]


def show(width: int, plan: RunPlan = PLAN, **extra: float) -> str:
    """Return the screen after two rows and a generation, as text."""
    screen = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    live = LiveConsole(plan, screen, Time())
    live.generation({"replaced": "[0]", "frames": 150})
    for iteration in (1, 2):
        live.write(100 * iteration, row(iteration, **extra))
    with screen.capture() as capture:
        screen.print(live.render())
    live.close()
    return capture.get()


@pytest.mark.parametrize("width", [80, 120])
def test_live_view_shows_the_run_in_the_width_of_the_terminal(width: int):
    screen = show(width)
    for text in ("20.0%", "200 / 1.00 k frames", "0:00:08 left", "#01: 7.50", "[0] at 150"):
        assert text in screen
    assert "#02" not in screen  # no fitness known
    assert max(len(line) for line in screen.splitlines()) <= width


def test_live_view_leaves_out_what_a_run_does_not_have():
    screen = Console(file=io.StringIO(), width=80, force_terminal=True)
    live = LiveConsole(RunPlan("Probe · ppo", "1 agent", "runs/x"), screen, Time())
    live.write(100, {"iteration": 1, "frames": 100, "wall_s": 1.0, "leader/fitness": 2.5})
    with screen.capture() as capture:
        screen.print(live.render())
    live.close()
    assert "leader" in capture.get()
    assert "population" not in capture.get()
    assert "%" not in capture.get()  # no end, no share


def test_live_view_begins_with_the_first_row_and_gives_the_terminal_back():
    output = io.StringIO()
    live = LiveConsole(PLAN, Console(file=output, width=80, force_terminal=True), Time())
    assert output.getvalue() == ""
    live.write(100, row(1))
    live.close()
    assert output.getvalue().count("\x1b[?25l") == output.getvalue().count("\x1b[?25h") == 1


@pytest.mark.parametrize(
    ("kind", "is_terminal", "expected"),
    [
        ("auto", True, LiveConsole),
        ("auto", False, PlainConsole),
        ("plain", True, PlainConsole),
        ("live", False, LiveConsole),
    ],
)
def test_console_is_live_on_a_terminal_only(
    kind: str, is_terminal: bool, expected: type, monkeypatch: pytest.MonkeyPatch
):
    stream: Any = io.StringIO()
    stream.isatty = lambda: is_terminal
    replace_in(module, "sys.stdout", stream, monkeypatch)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as set by many CI services
    assert isinstance(build_console(kind, 1.0, PLAN), expected)


def test_split_without_times_is_a_dash():
    assert split({}) == "–"


def test_user_text_is_no_markup():
    screen = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    plan = RunPlan("Probe[/a] · [b]", "[red]1[/] agents", "runs/[bold]x[/nothing]")
    live = LiveConsole(plan, screen, Time())
    live.write(100, row(1))
    live.generation({"replaced": "[a][/b]", "frames": 1})
    live.say("[/c]")
    with screen.capture() as capture:
        screen.print(live.render())
    live.close()
    for text in (plan.title, plan.details, plan.run_dir, "[a][/b]"):
        assert text in capture.get()


def test_live_view_fits_an_ascii_terminal():
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors=PLAIN)
    live = LiveConsole(
        PLAN, Console(file=output, width=100, force_terminal=True, color_system=None), Time()
    )
    for iteration in range(1, 5):
        live.write(100 * iteration, row(iteration, **{"leader/fitness": float(iteration)}))
    live.close()
    output.flush()
    text = output.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]
    assert "Probe - epo - 3 agents x 4 envs" in text
    assert "\\u" not in text


def test_console_without_a_terminal_or_a_stdout_is_plain(monkeypatch: pytest.MonkeyPatch):
    for each in (module, terminal):  # started with stdout closed
        replace_in(each, "sys.stdout", None, monkeypatch)
    console = build_console("auto", 1.0, PLAN)
    console.write(100, row(1))
    console.close()
