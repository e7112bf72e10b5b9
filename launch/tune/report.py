"""What a search found: page, table, preset and Optuna's own plots."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence

import optuna
from omegaconf import OmegaConf

from epo.cli.environment import CONFIG_DIR
from epo.cli.study import statistics, text
from epo.config import ConfigError
from epo.config.resume import FREE, rule
from epo.record.files import write_text
from epo.record.progress import short
from launch.tune.definition import TuneCfg

GROUPS = ("task", "algo", "engine")
README, TRIALS = "README.md", "trials.csv"


class Confirmation(NamedTuple):
    """Runs of new seeds: the settings as they were, and those that were found.

    Attributes:
        seeds: of both.
        before, after: the metric, one number per seed.
    """

    seeds: List[int]
    before: List[float]
    after: List[float]


def best(study: optuna.Study) -> optuna.trial.FrozenTrial:
    """Return the best trial that ran to its end.

    Raises:
        ConfigError: if none did.
    """
    try:
        return study.best_trial
    except ValueError as error:
        raise ConfigError("trials", len(study.trials), "none has run to its end yet") from error


def write_preset(path: Path, tune: TuneCfg, values: Dict[str, Any]) -> None:
    """Write the settings that were found as an experiment: `experiment=tune/<name>`.

    Where it runs and what it records is left to the command line.
    """
    lines = [line.partition("=") for line in tune.settings if not _is_free(line)]
    groups = [{f"override /{k}": v} for k, _, v in lines if k in GROUPS]
    plain = [f"{k}={v}" for k, _, v in lines if k not in GROUPS]
    tree = OmegaConf.from_dotlist(plain)
    for name, value in values.items():
        OmegaConf.update(tree, name, value)
    tree = OmegaConf.merge({"defaults": groups}, tree, {"max_frames": tune.max_frames})
    head = f"# @package _global_\n# {tune.title}: what `python -m launch.tune` found.\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, head + OmegaConf.to_yaml(tree))


def _is_free(line: str) -> bool:
    name = line.partition("=")[0]
    return name not in GROUPS and rule(name) == FREE


def preset_path(name: str) -> Path:
    """Return where the preset of a search lies."""
    return CONFIG_DIR / "experiment" / "tune" / f"{name}.yaml"


def write_trials(path: Path, study: optuna.Study, tune: TuneCfg) -> None:
    """Write a row per trial."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["trial", "state", "value", *tune.space, "reason"])
    for trial in (t for t in study.get_trials(deepcopy=False) if t.state.is_finished()):
        value = "" if trial.value is None else f"{trial.value:.6g}"
        params = [_plain(trial.params.get(name, "")) for name in tune.space]
        reason = trial.user_attrs.get("reason", "")
        writer.writerow([trial.number, trial.state.name.lower(), value, *params, reason])
    write_text(path, out.getvalue())


def draw(folder: Path, study: optuna.Study) -> List[str]:
    """Draw Optuna's own plots and return their files; what needs more trials is left out."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.visualization import matplotlib as plots

    drawn = []
    num_complete = sum(trial.state.name == "COMPLETE" for trial in study.trials)
    for name, plot in (
        ("history", lambda: plots.plot_optimization_history(study)),
        ("curves", lambda: plots.plot_intermediate_values(study)),
        ("slices", lambda: plots.plot_slice(study)),
        (
            "importance",
            lambda: plots.plot_param_importances(study, evaluator=PedAnovaImportanceEvaluator()),
        ),
    ):
        if name == "importance" and num_complete < 4:
            continue
        plot()
        figure = plt.gcf()
        legend = figure.axes[0].get_legend() if name == "curves" else None
        if legend is not None:  # a line per trial
            legend.remove()
        figure.savefig(str(folder / f"{name}.png"), dpi=80, bbox_inches="tight")
        plt.close(figure)
        drawn.append(f"{name}.png")
    return drawn


def write_page(
    folder: Path,
    name: str,
    tune: TuneCfg,
    study: optuna.Study,
    before: Dict[str, Any],
    confirmation: Confirmation,
    command: str,
    machine: str,
) -> None:
    """Write README.md, trials.csv and the plots."""
    found = best(study)
    folder.mkdir(parents=True, exist_ok=True)
    write_trials(folder / TRIALS, study, tune)
    pictures = draw(folder, study)
    states = [trial.state.name.lower() for trial in study.trials if trial.state.is_finished()]
    counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
    parts = [
        f"# {tune.title}",
        text.paragraph(
            f"{len(states)} trials ({counts}) of {short(tune.max_frames)} frames, judged by the "
            f"mean `{tune.metric}` of the last tenth; Optuna's TPE sampler, median pruner. "
            f"Trial {found.number} is the best: {short(float(found.value or 0.0))}."
        ),
        _settings(tune, found, before),
        _gain(tune, confirmation),
        f"Preset: `experiment=tune/{name}`. All trials: [{TRIALS}]({TRIALS}). {machine}",
        "    " + command,
        "\n".join(f"![]({picture})" for picture in pictures),
    ]
    write_text(folder / README, "\n\n".join(part for part in parts if part) + "\n")


def _settings(tune: TuneCfg, found: optuna.trial.FrozenTrial, before: Dict[str, Any]) -> str:
    rows = [
        [f"`{name}`", _range(values), _plain(before[name]), _plain(found.params[name])]
        for name, values in tune.space.items()
    ]
    return text.table(["setting", "searched", "before", "found"], rows)


def _gain(tune: TuneCfg, runs: Confirmation) -> str:
    """Say what the settings found are worth on seeds that the search did not see."""
    if not runs.seeds:
        return ""
    rows = [
        [name, text.interval(statistics.mean_interval(samples)), _list(samples)]
        for name, samples in (("before", runs.before), ("found", runs.after))
    ]
    test = statistics.welch(runs.after, runs.before)
    gain = statistics.mean(runs.after) - statistics.mean(runs.before)
    p = text.equation(text.probability(test.p))
    seeds = f"{runs.seeds[0]}–{runs.seeds[-1]}"
    said = f"Gain on seeds {seeds}, which the search did not see: {gain:+.4g} "
    said += f"`{tune.metric}` (Welch {p})."
    return said + "\n\n" + text.table(["settings", "mean, 95 % interval", "runs"], rows)


def _range(values: Any) -> str:
    if values.choices:
        return ", ".join(_plain(choice) for choice in values.choices)
    ends = f"{values.low:g} to {values.high:g}"
    return f"{ends}, log" if values.log else ends


def _plain(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _list(samples: Sequence[float]) -> str:
    return ", ".join(f"{sample:.4g}" for sample in samples)
