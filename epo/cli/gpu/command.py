"""`python -m epo gpu`: the first hour on a GPU, in steps of under ten minutes that resume."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Sequence

from epo.cli.arguments import split
from epo.cli.environment import CONFIG_DIR
from epo.cli.gpu import page, process
from epo.cli.gpu.ledger import DONE, Ledger
from epo.cli.gpu.plan import Step, steps
from epo.config import ConfigError
from epo.program import as_typed
from epo.record.files import write_text
from epo.runner.provenance import device_name, git_state
from epo.validation import check_device, did_you_mean

ROOT = Path(CONFIG_DIR).parent
USAGE = """usage: python -m epo gpu [step=all] [device=cuda] [minutes=...] [results=FOLDER]

  step      one of the steps below (or several, separated by commas), or `list`; a step that is
            named does what is left of it, and `again=true` does all of it anew
  device    cuda, cuda:<index>, or cpu: a rehearsal at toy sizes, whose numbers mean nothing
  minutes   end this call after so long; what is left is done by the next call
  results   default docs/results/gpu_<device>, for cpu runs/gpu_cpu

What is done is remembered in results.json there, so an interrupted call is simply repeated. A step
takes at most 9.5 minutes; what is not done by then goes on with the next call. README.md there
is the page about the device. The curve goes on with every call; curve.pt.* is all that it needs.

"""
STEP_S = 570.0
"""Most that a step takes, s."""


@dataclass
class GpuOptions:
    """What to measure, and for how long."""

    step: str = "all"
    """Steps, separated by commas, `all` or `list`."""
    device: str = "cuda"
    """Device to measure."""
    minutes: float = math.inf
    """Most that this call takes, minutes."""
    results: Optional[str] = None
    """Folder of the results."""
    again: bool = False
    """Do again what is done."""


def main(arguments: Sequence[str]) -> None:
    """Do the steps that are left, writing the page after every job.

    Raises:
        ConfigError: at a wrong setting.
    """
    if {"-h", "--help"} & set(arguments):
        print(as_typed(USAGE) + _listed(steps("cuda", ".")))
        return
    options, others = split(arguments, GpuOptions())
    if others:
        way_out = f"unknown{did_you_mean(others[0], ['step=', 'device=', 'minutes=', 'results='])}"
        raise ConfigError("argument", others[0], f"{way_out}; see python -m epo gpu --help")
    if options.step == "list":
        print(_listed(steps("cuda", ".")))
        return
    if not options.minutes > 0:
        raise ConfigError("minutes", options.minutes, "use a positive number")
    names = [step.name for step in steps("cuda", ".")]
    wanted = names if options.step == "all" else options.step.split(",")
    for name in wanted:
        if name not in names:
            way_out = f"unknown{did_you_mean(name, names)} (steps: {', '.join(names)})"
            raise ConfigError("step", name, way_out)
    check_device(options.device)
    folder = Path(options.results or default_folder(options.device)).resolve()
    Tour(options, folder).run(wanted)


def default_folder(device: str) -> Path:
    """Return the folder of a device's results."""
    if device == "cpu":
        return ROOT / "runs" / "gpu_cpu"
    name = device_name(device).partition(": ")[2]
    return ROOT / "docs" / "results" / f"gpu_{re.sub('[^a-z0-9]+', '_', name.lower()).strip('_')}"


class Tour:
    """One call: the steps that it does, and the time that it has.

    Args:
        options: of the command line.
        folder: of the results.
    """

    def __init__(self, options: GpuOptions, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.steps = steps(options.device, str(folder))
        self.ledger = Ledger(folder)
        self.end = time.perf_counter() + 60.0 * options.minutes

    def run(self, wanted: Sequence[str]) -> None:
        """Do what is left of the `wanted` steps."""
        for step in self.steps:
            if step.name in wanted:
                self._do(step)
        self._write_page()
        left = [step.name for step in self.steps if not self._is_done(step)]
        print(
            f"{self.folder / 'README.md'}: {'all done' if not left else 'left: ' + ' '.join(left)}"
        )

    def _do(self, step: Step) -> None:
        """Do the jobs of a step that are left, as long as there is time."""
        end = min(self.end, time.perf_counter() + STEP_S)
        for job in step.jobs:
            if self.ledger.is_done(step, job) and not self.options.again:
                print(f"{step.name}/{job.name}: done before", flush=True)
                continue
            left_s = end - time.perf_counter()
            if left_s < job.least_s:
                print(f"{step.name}/{job.name}: left for the next call", flush=True)
                continue
            print(f"{step.name}/{job.name}: at most {left_s / 60:.1f} minutes", flush=True)
            entry = process.run(job, left_s, self.folder / "runs" / "compiled")
            git = git_state()
            entry["commit"] = None if git is None else git.commit + ("+" if git.diff else "")
            self.ledger.write(step.name, job.name, entry)
            self._write_page()
            print(f"{step.name}/{job.name}: {entry['state']}, {entry['seconds']:.0f} s", flush=True)
            for line in entry.get("output", []):
                print(f"  {line}", flush=True)

    def _is_done(self, step: Step) -> bool:
        return all(self.ledger.entry(step.name, job.name).get("state") == DONE for job in step.jobs)

    def _write_page(self) -> None:
        device = self.options.device
        self.folder.mkdir(parents=True, exist_ok=True)
        title = f"First measurements: {device_name(device)}"
        write_text(self.folder / "README.md", page.text(self.ledger, self.steps, title, device))


def _listed(all_steps: Sequence[Step]) -> str:
    lines: List[str] = ["steps:"]
    width = 2 + max(len(step.name) for step in all_steps)
    lines += [f"  {step.name:<{width}}{step.help} ({len(step.jobs)} jobs)" for step in all_steps]
    return "\n".join(lines)
