"""The verb: show, mix, film, evaluate and export genes."""

from __future__ import annotations

import copy
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import List, Sequence

import torch

from epo.cli import arguments, environment
from epo.cli.eval.command import configuration, evaluate
from epo.cli.eval.measure import Result
from epo.cli.eval.options import Options as EvalOptions
from epo.cli.eval.options import run_of
from epo.cli.genes.options import USAGE, Options, check, names_of, pair
from epo.cli.genes.table import show_distances, show_lineage, show_list, show_results
from epo.cli.interruption import says_what_is_lost
from epo.cli.play.cast import shown_agents
from epo.config import Config
from epo.program import as_typed
from epo.quoting import assignment, short_path
from epo.record.progress import short
from epo.runner import gene_bank
from epo.runner.gene_bank import GeneBank, bank_of, with_bank
from epo.runner.run_folder import RunFolder
from epo.runner.saved_run import SavedRun

FILM_SIZE = (960, 540)
FILM_STEPS = 300
EPISODES_OF_CROSS, EPISODES_OF_PATH = 100, 20


def main(words: Sequence[str]) -> None:
    """Show the genes of a run, or make something of them.

    Raises:
        ConfigError: if the run has no genes, or an agent, option or file does not fit.
    """
    if not words or {"-h", "--help"} & set(words):
        print(as_typed(USAGE), end="")
        return
    path, words = run_of(words)
    options, given = arguments.split(words, Options())
    check(options)
    environment.register()
    saved = SavedRun(_newest(path))
    bank = bank_of(saved.state, path)
    with says_what_is_lost("nothing was written"):
        if options.export is not None:
            _export(saved, bank, options)
        elif options.cross is not None:
            _cross(saved, bank, options, given)
        elif options.interpolate is not None:
            _interpolate(saved, bank, options, given)
        else:
            {"list": show_list, "distances": show_distances, "lineage": show_lineage}[options.show](
                saved, bank
            )


def mixed(bank: GeneBank, agents: Sequence[int], weights: Sequence[float]) -> GeneBank:
    """Return the genes w a + (1 - w) b of two agents for every weight w, their noise likewise."""
    first, second = agents
    w = torch.tensor(list(weights))[:, None]
    return GeneBank(*(w * part[first] + (1.0 - w) * part[second] for part in bank))


def _newest(path: Path) -> Path:
    """Prefer `last.pt`, which knows the family tree, to `best.pt`."""
    last = RunFolder(path).last
    return last if path.is_dir() and last.is_file() else path


def _export(saved: SavedRun, bank: GeneBank, options: Options) -> None:
    agents = shown_agents(str(options.export), len(bank.genes), "export", len(bank.genes))
    out = Path(options.out) if options.out else saved.folder.path / "genes.safetensors"
    task, algo = (saved.settings[name]["name"] for name in ("task", "algo"))
    about = {"task": task, "algo": algo, "agents": ",".join(map(str, agents))}
    about.update(frames=str(saved.state["frames"]), checkpoint=saved.file.name)
    gene_bank.save(out, GeneBank(*(part[agents] for part in bank)), about)
    print(f"wrote {short_path(out)}: {len(agents)} genes of {bank.genes.shape[1]} numbers")
    if len(agents) > 1:
        settings = f"num_agents={len(agents)} {assignment('genes', short_path(out))}"
        print(f"  begin with them   python train.py task={task} algo={algo} {settings}")


def _cross(saved: SavedRun, bank: GeneBank, options: Options, given: Sequence[str]) -> None:
    agents = pair("cross", str(options.cross), len(bank.genes))
    weights = [1.0, options.share, 0.0]
    cfg, bred = _bred(saved, mixed(bank, agents, weights), options, given)
    names = [f"agent {agents[0]}", f"child, {names_of(agents, weights)[1]}", f"agent {agents[1]}"]
    show_results(names, _measure(bred, cfg, options, EPISODES_OF_CROSS))


def _interpolate(saved: SavedRun, bank: GeneBank, options: Options, given: Sequence[str]) -> None:
    agents = pair("interpolate", str(options.interpolate), len(bank.genes))
    weights = [1.0 - i / (options.steps - 1) for i in range(options.steps)]
    cfg, bred = _bred(saved, mixed(bank, agents, weights), options, given)
    names = names_of(agents, weights)
    if options.video is not None:
        video = options.video
        if video == "auto":
            video = str(saved.folder.path / f"genes_{agents[0]}_{agents[1]}.mp4")
        _film(saved, bank, options, given, agents, Path(video))
    show_results(names, _measure(bred, cfg, options, EPISODES_OF_PATH))


def _bred(
    saved: SavedRun, bank: GeneBank, options: Options, given: Sequence[str]
) -> tuple[Config, SavedRun]:
    """Return the run as if `bank` were its population."""
    eval_options = EvalOptions(seed=options.seed)
    cfg = configuration(saved, eval_options, options.engine, given)
    bred = copy.copy(saved)
    bred.state = with_bank(saved.state, bank)
    return replace(cfg, num_agents=len(bank.genes)), bred


def _measure(bred: SavedRun, cfg: Config, options: Options, episodes: int) -> List[Result]:
    """Evaluate the whole population without noise; all meet the same worlds."""
    how = EvalOptions(
        agents="all",
        episodes=options.episodes or episodes,
        num_worlds=options.num_worlds,
        level=options.level,
    )
    return evaluate(bred, how, cfg, "deterministic")


def _film(
    saved: SavedRun,
    bank: GeneBank,
    options: Options,
    given: Sequence[str],
    agents: Sequence[int],
    path: Path,
) -> None:
    """Film the genes on the line between two agents side by side."""
    from epo.cli.play.command import DRAWN_ON
    from epo.cli.play.command import configuration as drawn
    from epo.cli.play.film import Film
    from epo.cli.play.options import Options as PlayOptions
    from epo.cli.play.options import frame_rate
    from epo.record.tiles import Grid
    from epo.record.video import VIDEOS, Video, check_file
    from epo.runner.evaluator import Evaluator, load_policy

    check_file("video", path, VIDEOS)
    cfg = drawn(saved, given, DRAWN_ON)
    environment.prepare_drawing(cfg)
    weights = [1.0 - i / (options.steps - 1) for i in range(options.steps)]
    num = len(weights)
    state = with_bank(saved.state, mixed(bank, agents, weights))
    cfg = replace(cfg, num_agents=num, num_envs=num)
    with ExitStack() as stack:
        env = stack.enter_context(closing(environment.make_env(cfg)))
        policy = load_policy(cfg.algo, num, state, saved.file, env, list(range(num)), None)
        grid = Grid(num, *FILM_SIZE)
        renderer = environment.make_renderer(cfg, env, *grid.tile_size)
        stack.enter_context(closing(renderer))
        fps = frame_rate(PlayOptions(), env.spec.control_dt_s)
        labels = names_of(agents, weights)
        film = Film(Evaluator(env, policy), renderer, grid, labels, None, fps, with_captions=True)
        steps = min(environment.episode_length(cfg) or FILM_STEPS, FILM_STEPS)
        with Video(path, *FILM_SIZE, fps) as video:
            num_frames = film.shoot(steps, video.write)
    print(f"wrote {short_path(path)}: {short(num_frames)} frames, {num_frames / fps:.1f} s")
