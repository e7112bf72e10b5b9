"""The verb: build the policy of a checkpoint, write it with its manifest, compare the two."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
import torch

from epo.cli import arguments, environment
from epo.cli.eval.options import run_of
from epo.cli.export.formats import FORMATS, check_packages
from epo.cli.export.manifest import manifest, output_names
from epo.cli.export.parity import NUM_STEPS, TOLERANCE, difference
from epo.cli.play.cast import population_of, shown_agents
from epo.cli.play.command import configuration
from epo.config import Config, ConfigError
from epo.envs import VecEnv
from epo.models.actor_critic import ActorCritic
from epo.models.standalone import StandalonePolicy
from epo.program import as_typed
from epo.quoting import short_path
from epo.record.files import write_text
from epo.runner.checkpoint import CheckpointError
from epo.runner.saved_run import SavedRun
from epo.runner.trainer import build_model
from epo.validation import did_you_mean

USAGE = """usage: python -m epo export RUN [format=onnx] [agent=leader] [out=FOLDER] [check=true]

  RUN     run folder (its best.pt, or else last.pt) or a checkpoint in one
  format  onnx, torchscript or torch_export
  agent   leader, an index such as 3, or all: the gene is an input, the gene bank lies beside it
  out     folder to write to; default export in the run folder
  check   true: write nothing, compare what was written before with the checkpoint once more
  trust   true: import the module that the run's config.yaml names (its code runs)

Normaliser, gene and clamp are part of the policy; the LSTM's state is input and output. Beside
the policy lies its manifest (.json): layout and units of observation and action, control rate.
After writing, and with check=true, its actions are compared with those of the checkpoint.
"""


@dataclass
class Options:
    """What is written; `USAGE` explains the fields."""

    format: str = "onnx"
    agent: str = "leader"
    out: Optional[str] = None
    check: bool = False


def main(words: Sequence[str]) -> None:
    """Write a policy, or check one that was written.

    Raises:
        ConfigError: if it cannot be built, written, or differs from the checkpoint.
    """
    if not words or any(word in ("-h", "--help") for word in words):
        print(as_typed(USAGE), end="")
        return
    path, words = run_of(words)
    options, given = arguments.split(words, Options())
    if options.format not in FORMATS:
        hint = did_you_mean(options.format, FORMATS)
        way_out = f"unknown{hint} (choices: {', '.join(FORMATS)})"
        raise ConfigError("format", options.format, way_out)
    check_packages(options.format)
    environment.register()
    saved = SavedRun(path)
    if "model" not in saved.state:
        trainer = saved.settings["algo"]["trainer"]
        way_out = f"only shared networks can be written, this one is of algo.trainer={trainer}"
        raise ConfigError("run", path, way_out)
    cfg = configuration(saved, given)
    agent = _agent(options, population_of(cfg))
    file = _file(options, saved, agent)
    population = population_of(cfg)
    cfg.num_agents = cfg.num_envs = 1
    with closing(environment.make_env(cfg)) as env:
        model = _model(saved, cfg, env, population)
        policy = StandalonePolicy(model, agent).eval()
        if not options.check:
            _write(options, policy, file)
        largest = _compare(options, policy, model, agent, file)
        if not options.check:
            _write_beside(
                file, model, agent, manifest(saved, cfg, env, policy, agent, file, largest)
            )
    found = f"the same actions as {saved.file.name} to {largest:.1e} over {NUM_STEPS} steps"
    print(f"{short_path(file)}: {found}")


def _agent(options: Options, population: int) -> Optional[int]:
    """Tell whose gene is written; None: everybody's.

    Raises:
        ConfigError: if there is no such agent, or no gene that could be an input.
    """
    if options.agent == "all":
        if population == 1:
            raise ConfigError("agent", "all", "there is one agent, without a gene; leave it out")
        return None
    agents = shown_agents(options.agent, population)
    if len(agents) > 1:
        raise ConfigError("agent", options.agent, "name one, or all")
    return agents[0]


def _file(options: Options, saved: SavedRun, agent: Optional[int]) -> Path:
    """Name the file of a policy, and see that it can be written, or is there to be checked."""
    folder = Path(options.out) if options.out else saved.folder.path / "export"
    who = "all" if agent is None else f"agent{agent}"
    file = folder / f"{saved.file.stem}_{who}{FORMATS[options.format].suffix}"
    if options.check:
        if not file.is_file():
            raise ConfigError("check", "true", f"there is no {file}; leave check out to write it")
        return file
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        way_out = f"cannot be written ({error.strerror}); choose another out=<folder>"
        raise ConfigError("out", folder, way_out) from error
    return file


def _model(saved: SavedRun, cfg: Config, env: VecEnv, population: int) -> ActorCritic:
    """Build the network of a checkpoint.

    Raises:
        ConfigError: if it is not ours, so that nobody knows its plain operations.
    """
    if cfg.algo.network.model != "actor_critic":
        way_out = "a network of your own cannot be written; call it with epo.load, or export it in "
        raise ConfigError("algo.network.model", cfg.algo.network.model, way_out + "your module")
    model = build_model(cfg.algo, env, population, seed=0)
    try:
        model.load_state_dict(saved.state["model"])
    except RuntimeError as error:
        way_out = "its network does not fit the task; use the one that it was trained on"
        raise CheckpointError(saved.file, way_out) from error
    return model


def _write(options: Options, policy: StandalonePolicy, file: Path) -> None:
    """Write the policy; a file that was there before stays until the new one is complete."""
    example = policy.start(torch.zeros(2, policy.mean.numel()))
    part = file.with_name(f".part_{file.name}")
    try:
        FORMATS[options.format].write(policy, example, output_names(policy), part)
        part.replace(file)
    except OSError as error:
        way_out = f"cannot be written ({error.strerror}); choose another out=<folder>"
        raise ConfigError("out", file, way_out) from error


def _compare(
    options: Options,
    policy: StandalonePolicy,
    model: ActorCritic,
    agent: Optional[int],
    file: Path,
) -> float:
    """Return the largest difference between the file and the policy, over all agents it can be.

    Raises:
        ConfigError: if it is too large.
    """
    step = FORMATS[options.format].load(file)
    start, largest = policy.start(torch.zeros(1, policy.mean.numel())), 0.0
    for who in range(model.num_agents) if agent is None else [agent]:
        if agent is None:
            assert model.gene is not None
            start["gene"] = model.gene[who : who + 1].detach()
        largest = max(largest, difference(step, model, who, start))
    if not largest <= TOLERANCE:
        way_out = (
            f"acts differently than the checkpoint, by {largest:.1e} where {TOLERANCE:.0e} is "
            "allowed; write it again, or use another format"
        )
        raise ConfigError("export", file, way_out)
    return largest


def _write_beside(
    file: Path, model: ActorCritic, agent: Optional[int], content: Dict[str, Any]
) -> None:
    """Write the manifest, and the gene bank where the gene is an input."""
    written: List[Path] = [file, file.with_name(f"{file.name}.json")]
    write_text(written[1], json.dumps(content, indent=1) + "\n")
    if agent is None:
        assert model.gene is not None
        written.append(file.with_name(f"{file.stem}_genes.npy"))
        np.save(str(written[2]), model.gene.detach().numpy())
    print("wrote " + ", ".join(map(short_path, written)))
