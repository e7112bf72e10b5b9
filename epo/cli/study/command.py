"""`python -m epo study NAME`: run what is missing of a study, then write the page about it."""

from __future__ import annotations

import json
import shlex
import sys
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Sequence

from epo.cli.arguments import check_least, split
from epo.cli.study import definition
from epo.cli.study.archive import RUNS, VERSIONS, Archive, Entry, fingerprint
from epo.cli.study.definition import StudyCfg
from epo.cli.study.execution import Execution
from epo.cli.study.figure import draw_curves, draw_sizes
from epo.cli.study.outcome import Outcome, read
from epo.cli.study.runs import Run, expand, is_finished
from epo.cli.study.table import (
    CURVES,
    README,
    RESULTS,
    SIZES,
    Provenance,
    write_readme,
    write_results,
)
from epo.config import ConfigError
from epo.cores import granted_cores
from epo.program import as_typed
from epo.quoting import short_path
from epo.validation import did_you_mean

USAGE = """usage: python -m epo study NAME [jobs=4] [seeds=5] [max_frames=N] [name=value...]

  NAME        a file of cfg/study, or the path of another one
  jobs        runs at a time, one thread each; default: one per core; 0: only write the page
  seeds       runs per arm and environment; default: the study's
  arms        some of the arms, such as ppo,epo; default: all
  environments  some of the environments, likewise
  max_frames  length of every run instead of the study's, for a quick trial
  runs        folder of the run folders; default runs/study/NAME
  results     folder of the page; default docs/results/NAME
  name=value  any setting of `python train.py`, for all runs

Runs that are finished in that folder are not run again, others continue at their last checkpoint.
What the page needs of a finished run is kept in results/runs.jsonl: their folders may go.
"""


@dataclass
class StudyOptions:
    """How a study is carried out."""

    jobs: Optional[int] = None
    """Runs at a time; None: one per core."""
    seeds: Optional[int] = None
    """Runs per arm and environment; None: as the study says."""
    arms: Optional[str] = None
    """Arms to run, with commas; None: all."""
    environments: Optional[str] = None
    """Environments to run, with commas; None: all."""
    max_frames: Optional[int] = None
    """Frames of every run; None: as the study says."""
    runs: Optional[str] = None
    """Folder of the runs."""
    results: Optional[str] = None
    """Folder of the page."""


def main(arguments: Sequence[str]) -> None:
    """Run what is missing and write the page.

    Raises:
        ConfigError: at a wrong setting, before anything runs.
        SystemExit: 1 if a run failed, 130 or 143 after a signal.
    """
    options, others = split(arguments, StudyOptions())
    words = [argument for argument in others if "=" not in argument]
    if not words or {"-h", "--help"} & set(words):
        print(as_typed(USAGE), end="")
        studies = ", ".join(definition.names())
        print("\n" + textwrap.fill(f"studies: {studies}", width=79, subsequent_indent=" " * 9))
        return
    name, *rest = words
    if rest:
        raise ConfigError("argument", rest[0], "one study at a time; settings are name=value")
    full = definition.load(name)
    study = adapt(full, options)
    stem = Path(name).stem
    folder = Path(options.results or f"docs/results/{stem}")
    extra = [argument for argument in others if "=" in argument]
    runs = expand(study, Path(options.runs or f"runs/study/{stem}"), extra)
    archive = Archive(folder / RUNS)
    jobs = granted_cores() if options.jobs is None else options.jobs
    failures = carry_out(study, runs, jobs, archive)
    command = " ".join(["python -m epo study", *(shlex.quote(word) for word in arguments)])
    finished = [run for run in runs if run.name not in failures]
    entries = [kept(run, study, archive) for run in finished]
    source = Provenance(command, machine(entries), failures, reductions(full, study))
    write_page(folder, study, [entry.outcome for entry in entries], source)
    archive.write()
    print(f"wrote {short_path(folder / README)}")
    if failures:
        sys.exit(1)


def adapt(study: StudyCfg, options: StudyOptions) -> StudyCfg:
    """Return the study with the sizes that the command line asks for.

    Raises:
        ConfigError: if one of them is impossible.
    """
    check_least(options, jobs=0, seeds=1, max_frames=1)
    arms = _chosen("arms", options.arms, study.arms)
    names = _chosen("environments", options.environments, study.environments)
    environments = {
        name: replace(environment, max_frames=options.max_frames or environment.max_frames)
        for name, environment in study.environments.items()
        if name in names
    }
    return replace(
        study,
        environments=environments,
        arms={name: settings for name, settings in study.arms.items() if name in arms},
        curves=study.curves and [name for name in study.curves if name in names],
        num_seeds=options.seeds or study.num_seeds,
    )


def _chosen(option: str, given: Optional[str], known: Iterable[str]) -> List[str]:
    """Return the names that an option lists, or all.

    Raises:
        ConfigError: if one of them does not exist.
    """
    if given is None:
        return list(known)
    chosen = [name.strip() for name in given.split(",")]
    for name in chosen:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ConfigError(option, name, f"not in this study{hint} ({', '.join(known)})")
    return chosen


def carry_out(
    study: StudyCfg, runs: Sequence[Run], num_jobs: int, archive: Archive
) -> Dict[str, str]:
    """Run what is neither in the archive nor finished on disk, `num_jobs` at a time; none for 0.

    Returns:
        Name of a run that is missing in the end -> why.

    Raises:
        SystemExit: after Ctrl-C or SIGTERM.
    """
    todo = [run for run in runs if not (archive.find(run) or is_finished(run))]
    print(f"{len(runs) - len(todo)} of {len(runs)} runs are finished already", flush=True)
    if not num_jobs:
        return {run.name: "not run yet" for run in todo}
    execution = Execution(todo, num_jobs, study.metric)
    code = execution.run()
    if code:
        sys.exit(code)
    return execution.failures


def kept(run: Run, study: StudyCfg, archive: Archive) -> Entry:
    """Return the numbers of a finished run: of the archive, else of its folder, which joins it."""
    entry = archive.find(run)
    if entry is None:
        try:
            content = (run.folder.path / "versions.json").read_text(encoding="utf-8")
            found = json.loads(content)
            versions = {name: found[name] for name in VERSIONS}
        except (OSError, ValueError, KeyError):
            versions = {}
        entry = archive.add(Entry(fingerprint(run.cfg), read(run, study), versions))
    return entry


def write_page(
    folder: Path, study: StudyCfg, outcomes: Sequence[Outcome], source: Provenance
) -> None:
    """Write README.md, results.csv and the pictures from finished runs.

    Raises:
        ConfigError: if no run is finished, or the folder cannot be written.
    """
    if not outcomes:
        why = next(iter(source.missing.values()))
        raise ConfigError("results", folder, f"no run is finished ({why}); there is nothing to say")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_results(folder / RESULTS, study, outcomes)
        write_readme(folder / README, study, outcomes, source)
    except OSError as error:
        way_out = f"cannot be written ({error.strerror}); choose another results="
        raise ConfigError("results", folder, way_out) from error
    draw_curves(folder / CURVES, study, outcomes)
    if study.series:
        draw_sizes(folder / SIZES, study, outcomes)


def reductions(full: StudyCfg, study: StudyCfg) -> str:
    """Return what is smaller than the study asks for; empty if nothing is."""
    found = []
    if len(study.arms) < len(full.arms):
        found.append(f"{len(study.arms)} arms instead of {len(full.arms)}")
    if len(study.environments) < len(full.environments):
        count = f"{len(study.environments)} environments instead of {len(full.environments)}"
        found.append(count)
    if study.num_seeds < full.num_seeds:
        found.append(f"{study.num_seeds} seeds instead of {full.num_seeds}")
    for name, environment in study.environments.items():
        wanted = full.environments[name].max_frames
        if environment.max_frames < wanted:
            found.append(f"{name} with {environment.max_frames:,} frames instead of {wanted:,}")
    return ", ".join(found)


def machine(entries: Sequence[Entry]) -> str:
    """Name the processors and the versions that runs had."""
    devices: Dict[str, None] = {}
    packages: Dict[str, None] = {}
    for versions in (entry.versions for entry in entries if entry.versions):
        devices[f"{versions['device']}, {versions['cpu_cores_granted']} cores"] = None
        found = {"Python": versions["python"], "torch": versions["torch"]}
        found.update(versions["simulators"])
        packages.update(dict.fromkeys(f"{name} {version}" for name, version in found.items()))
    return f"{' and '.join(devices)}; {', '.join(packages)}"
