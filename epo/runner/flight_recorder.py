"""The flight recorder: the state before every iteration, and at a failure a folder about it."""

from __future__ import annotations

import datetime
import io
import json
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import numpy
import torch

from epo.config import GuardCfg
from epo.envs import EnvError
from epo.exceptions import one_line, traceback_text
from epo.quoting import short_path
from epo.record.files import atomic_write, write_text
from epo.redact import redact, redact_tree
from epo.runner import checkpoint, provenance
from epo.runner.guard import NonFiniteError
from epo.runner.loop import Loop
from epo.runner.nonfinite import OF_TASK, Finding, describe, first_in_rollout, first_refused
from epo.runner.run_folder import RunFolder
from epo.runner.state_copy import StateCopy
from epo.terminal import say

FOLDER = "failure"
"""Folder inside a run folder that holds a folder for every failure."""
REPORT = "failure.json"
STATE, ROLLOUT, RANDOM = "state.pt", "rollout.pt", "random.pt"
TRACEBACK, REPLAY = "traceback.txt", "replay.txt"
COPIED = ("config.yaml", "command.txt", "versions.json", "git.diff")
MAX_WHOLE = 5
"""Failures of one run that are kept with state and rollout; later ones have the texts only."""
PHASES = {"sim": "the environments' step", "rollout": "the rollout", "learn": "the update"}
"""Open section of the stopwatch -> what was being done."""


class Failure(NamedTuple):
    """What is known of a failure.

    Attributes:
        folder: about it; None: it could not be written.
        phase: what was being done.
        first: what was not finite first; None: nothing was found.
    """

    folder: Optional[Path]
    phase: str
    first: Optional[Finding]


class FlightRecorder:
    """Keeps the state before the present iteration, and writes down how an iteration failed.

    Args:
        folder: of the run.
        cfg: what is kept.
    """

    def __init__(self, folder: RunFolder, cfg: GuardCfg) -> None:
        self.folder = folder
        self.cfg = cfg
        self._copy = StateCopy()
        self._random: Dict[str, Any] = {}
        self._is_on = cfg.flight_recorder

    @property
    def state(self) -> Optional[Dict[str, Any]]:
        """The state of the last complete iteration; None if none was kept."""
        return self._copy.read() if self._is_on else None

    def keep(self, loop: Loop) -> None:
        """Copy the state between two iterations; whatever goes wrong here is said and ends it."""
        if not self._is_on:
            return
        try:
            self._copy.take(loop.kept_state())
            self._random = random_states()
        except Exception as error:
            self._is_on = False
            say(f"warning: the flight recorder is off ({one_line(error)})", is_error=True)

    def write(self, loop: Loop, error: BaseException) -> Failure:
        """Write down what happened; what cannot be written is left out and named.

        The loop is not to be used afterwards: the update may be repeated from the state before.
        """
        phase = phase_of(loop)
        report = _Report(self._make_folder())
        report.text(TRACEBACK, traceback_text(error))
        for name in COPIED:
            if (self.folder.path / name).is_file():
                report.attempt(name, lambda path: self._copy_text(path.name, path))
        recording = loop.recording()
        if recording and isinstance(error, EnvError) and error.values:
            recording["refused"] = {"values": error.values, "error": redact(str(error))}
        is_whole = (
            report.is_writable
            and len(list(self.folder.path.glob(f"{FOLDER}/*/{STATE}"))) < MAX_WHOLE
        )
        state = self.state
        if is_whole and state is not None:
            report.attempt(STATE, lambda path: save(path, state))
            report.attempt(RANDOM, lambda path: save(path, self._random))
        if is_whole and recording:
            report.attempt(ROLLOUT, lambda path: self._save_rollout(path, recording))
        first = locate(loop, error, state)
        missing = report.missing
        content = {
            "error": one_line(error),
            "type": type(error).__name__,
            "phase": phase,
            "iteration": 1 + (loop.iteration if state is None else state["iteration"]),
            "frames": loop.frames if state is None else state["frames"],
            "first": first,
            "is_replayable": loop.ranks.size == 1
            and ROLLOUT not in missing
            and (recording.get("is_complete", False) or "refused" in recording),
            "missing": missing,
            "spec": asdict(loop.env.spec),
        }
        report.text(REPORT, json.dumps(redact_tree(content), indent=2, default=str) + "\n")
        if report.folder is not None:
            report.text(REPLAY, replay_text(report.folder, content))
        return Failure(report.folder, phase, first)

    def _make_folder(self) -> Optional[Path]:
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        for number in range(1, 100):
            path = self.folder.path / FOLDER / (now if number == 1 else f"{now}_{number}")
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
            except OSError:
                return None
            return path
        return None

    def _copy_text(self, name: str, path: Path) -> None:
        text = (self.folder.path / name).read_text(encoding="utf-8", errors="replace")
        write_text(path, redact(text))

    def _save_rollout(self, path: Path, recording: Dict[str, Any]) -> None:
        tensors = recording["rollout"].values()
        size_mb = sum(x.numel() * x.element_size() for x in tensors) / 1e6
        if size_mb > self.cfg.max_rollout_mb:
            raise OSError(f"{size_mb:.0f} MB; raise guard.max_rollout_mb={self.cfg.max_rollout_mb}")
        save(path, recording)


def phase_of(loop: Loop) -> str:
    """Return what the loop was doing when it was interrupted by an exception."""
    return PHASES.get(loop.stopwatch.open_section, "the work between two iterations")


def locate(loop: Loop, error: BaseException, state: Optional[Dict[str, Any]]) -> Optional[Finding]:
    """Look for the first number that is not finite: in the rollout, then in the update.

    Args:
        loop: whose iteration failed; it cannot continue afterwards.
        error: what ended it.
        state: before that iteration; None: unknown, the update is not repeated.
    """
    recording, found = loop.recording(), None
    try:
        if recording and isinstance(error, EnvError):
            agent, step = recording["rollout"]["agent"].cpu(), recording["num_steps"]
            found = first_refused(error.values, agent, step)
        elif recording:
            found = first_in_rollout(recording["rollout"], recording["num_steps"])
        is_alone = loop.ranks.size == 1  # an update of several ranks takes all of them
        if is_alone and found is None and state is not None and isinstance(error, NonFiniteError):
            found = loop.relearn(state)
    except Exception as failure:  # such as a device that answers no more
        say(f"warning: what failed first was not found ({one_line(failure)})", is_error=True)
    return found


class _Report:
    """Files in the folder of a failure, as many as can be written."""

    def __init__(self, folder: Optional[Path]) -> None:
        self.folder = folder
        self.missing: Dict[str, str] = {}

    @property
    def is_writable(self) -> bool:
        return self.folder is not None

    def attempt(self, name: str, write: Callable[[Path], Any]) -> None:
        """Write one file, or note why it is missing."""
        if self.folder is None:
            return
        try:
            write(self.folder / name)
        except Exception as error:
            self.missing[name] = one_line(error)

    def text(self, name: str, text: str) -> None:
        """Write a text."""
        self.attempt(name, lambda path: write_text(path, text))


def random_states() -> Dict[str, Any]:
    """Return the states of the generators that belong to nobody, plain types and tensors."""
    kind, keys, *rest = numpy.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "numpy": [str(kind), torch.tensor(numpy.asarray(keys, numpy.int64)), *rest],
        "python": random.getstate(),
    }


def restore_random(states: Dict[str, Any]) -> None:
    """Undo `random_states`."""
    torch.set_rng_state(states["torch"])
    kind, keys, *rest = states["numpy"]
    numpy.random.set_state((kind, keys.numpy().astype(numpy.uint32), *rest))
    version, numbers, last = states["python"]
    random.setstate((version, tuple(numbers), last))


def replay_text(folder: Path, content: Dict[str, Any]) -> str:
    """Return the command that repeats the failing iteration."""
    lines = [f"# Repeats iteration {content['iteration']}, which failed in {content['phase']}."]
    if content["spec"].get("has_invalid_steps") and not content["is_replayable"]:
        lines.append(
            "# Episodes of this environment cannot be saved: new ones begin, and the iteration may "
            "end well."
        )
    return "\n".join([*lines, provenance.module_command("epo", "replay", str(folder)), ""])


def failures(run_dir: Path) -> List[Path]:
    """Return the folders of the failures of a run, the oldest first."""
    return sorted(path.parent for path in run_dir.glob(f"{FOLDER}/*/{REPORT}"))


def save(path: Path, content: Dict[str, Any]) -> None:
    """Write what `checkpoint.load` reads; it may hold numbers that are not finite."""
    state = checkpoint.plain(content)
    buffer = io.BytesIO()
    kind = {"format": checkpoint.FORMAT, "version": checkpoint.VERSION}
    torch.save({**kind, "state": state}, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def message(error: BaseException, failure: Failure, kept: str) -> str:
    """Say in one line what failed, what was kept and where to read on."""
    text = one_line(error)
    if isinstance(error, EnvError):
        pass  # it names the place itself
    elif failure.first is not None and failure.first["quantity"] in OF_TASK:
        text = f"{text.partition(': training diverged')[0]}: the task's {describe(failure.first)}"
    elif failure.first is not None:
        text += f"; first, {describe(failure.first)}"
    if not isinstance(error, (NonFiniteError, EnvError)):
        text += f", in {failure.phase}"
    if failure.folder is not None:
        kept += f"{'; ' * bool(kept)}what happened: {short_path(failure.folder)}"
    return redact(f"{text}; {kept}" if kept else text)
