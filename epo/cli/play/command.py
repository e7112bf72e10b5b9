"""The verb: compose what is played, build it, let it run, write the files, report."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Sequence

from epo.cli import arguments, environment
from epo.cli.interruption import says_what_is_lost
from epo.cli.overrides import merge, overrides
from epo.cli.play.cast import Cast, population_of
from epo.cli.play.options import USAGE, Options, frame_rate, num_steps, settle
from epo.cli.play.trust import check_trust
from epo.config import Config, ConfigError
from epo.program import as_typed
from epo.quoting import short_path
from epo.record.progress import short

if TYPE_CHECKING:
    from epo.cli.play.film import Film
    from epo.runner.saved_run import SavedRun

SETTINGS = ("task", "algo", "num_agents", "num_envs", "seed", "search_path", "plugins")
"""What is taken over from a run; its engine and device may not be here."""
DRAWN_ON = ("engine=mujoco", "device=cpu")
"""Where worlds are played that are drawn."""


def main(words: Sequence[str]) -> None:
    """Play, write the files and say what the episodes reached.

    Raises:
        ConfigError: if something cannot be played, drawn or written.
    """
    if not words or any(word in ("-h", "--help") for word in words):
        print(as_typed(USAGE), end="")
        return
    options, given = arguments.split(words, Options())
    settle(options)
    environment.register()
    # Imports torch: what came before answered at once.
    from epo.runner.saved_run import SavedRun

    saved = SavedRun(Path(options.checkpoint)) if options.checkpoint else None
    cfg = configuration(saved, given)
    if options.viewer is not None:
        environment.prepare_viewing(cfg, is_training=False)
    else:
        environment.prepare_drawing(cfg)
    cast = Cast(options, population_of(cfg), saved)
    lost = "" if options.viewer else "the file was not written"
    with says_what_is_lost(lost), ExitStack() as stack:
        if saved is not None:
            print(f"{saved.file}: {short(saved.state['frames'])} frames of training")
        if options.viewer is not None:
            from epo.cli.play.view import view

            view(cast, options, saved, cfg)
            return
        film = _set_up(cast, options, saved, cfg, stack)
        _shoot(film, options, num_steps(options, environment.episode_length(cfg)))


def configuration(
    saved: Optional[SavedRun], given: Sequence[str], base: Sequence[str] = DRAWN_ON
) -> Config:
    """Compose the run's settings with `given` on top.

    Args:
        saved: the run; None: `given` says everything.
        given: overrides of the command line.
        base: engine and device, which are not taken over from the run.

    Raises:
        ConfigError: at a wrong setting, one that the run decides, or where the run asks to import a
            module and nobody has agreed.
    """
    base = list(base)
    if saved is not None:
        given = check_trust(saved.settings, str(saved.file), given)
        base += overrides({n: v for n, v in saved.settings.items() if n in SETTINGS})
        physics = saved.settings["engine"].get("physics")
        base += [f"engine.physics={physics}"] if physics else []
    for word in given:
        name, _, value = word.partition("=")
        if word.startswith("-"):
            raise ConfigError("flag", word, "unknown; settings are written name=value")
        if name == "num_envs":
            raise ConfigError(name, value, "give the worlds of each agent: num_worlds=...")
        if name == "experiment" and saved is not None:
            raise ConfigError(name, value, "leave it out; the run has all settings")
    try:
        (cfg,) = environment.configurations(merge(base, given))
    except ConfigError as error:
        names = tuple(word.partition("=")[0] for word in given)
        if saved is None or str(error).startswith(names):
            raise
        way_out = f"its settings do not fit this epo ({error}); use the one in versions.json"
        raise ConfigError("checkpoint", saved.file, way_out) from error
    return environment.ready(cfg)[0]


def _set_up(
    cast: Cast, options: Options, saved: Optional[SavedRun], cfg: Config, stack: ExitStack
) -> Film:
    """Build the worlds shown, their actors and what draws them; `stack` closes all of it."""
    from epo.cli.play import worlds
    from epo.cli.play.film import Film
    from epo.record.tiles import Grid

    evaluator, level = worlds.build(cast, options, saved, cfg, stack)
    env, grid = evaluator.env, Grid(len(cast.labels), options.width, options.height)
    renderer = environment.make_renderer(cfg, env, *grid.tile_size)
    stack.enter_context(closing(renderer))
    return Film(
        evaluator,
        renderer,
        grid,
        cast.labels,
        level,
        frame_rate(options, env.spec.control_dt_s),
        with_captions=options.captions,
    )


def _shoot(film: Film, options: Options, steps: int) -> None:
    """Play, write the files and report."""
    from epo.cli.play.report import summary
    from epo.record.video import Video, save_picture

    if options.video:
        path = Path(options.video)
        with Video(path, options.width, options.height, film.fps) as video:
            num_frames = film.shoot(steps, video.write)
        print(f"wrote {short_path(path)}: {num_frames} frames, {num_frames / film.fps:.1f} s")
    else:
        film.shoot(steps)
    if options.picture:
        save_picture(Path(options.picture), film.frame())
        print(f"wrote {short_path(options.picture)}")
    print(summary(film.labels, film.evaluator.episodes, film.evaluator.running()), end="")
