"""From options to a live view that runs: in a browser, or in MuJoCo's own window."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import List, Optional

from epo.cli import environment
from epo.cli.play import native, worlds
from epo.cli.play.cast import Cast
from epo.cli.play.live import Live
from epo.cli.play.options import Options
from epo.config import Config
from epo.runner.evaluator import Policy
from epo.runner.run_folder import RunFolder
from epo.runner.saved_run import SavedRun
from epo.viewer.page import Page


def view(cast: Cast, options: Options, saved: Optional[SavedRun], cfg: Config) -> None:
    """Play in a viewer until Ctrl-C or the end of `steps`.

    Raises:
        ConfigError: if the task cannot be viewed, or no page can be served.
    """
    with ExitStack() as stack:
        evaluator, _ = worlds.build(cast, options, saved, cfg, stack)
        if options.viewer == "native":
            native.run(evaluator, options.steps)
            return
        scene = stack.enter_context(closing(environment.make_scene(cfg, evaluator.env)))
        page = stack.enter_context(closing(Page(options.host, options.port, cfg.task.name)))

        def load(file: Path, agent: int) -> Policy:
            return cast.policy_of(cfg, evaluator.env, SavedRun(file), agent)

        live = Live(
            page,
            scene,
            evaluator,
            load if saved is not None and options.policy is None else None,
            checkpoints(saved),
            cast.population,
            cast.agents[0],
        )
        print(f"viewer: {page.url} (Ctrl-C ends it)", flush=True)
        live.run(options.steps)


def checkpoints(saved: Optional[SavedRun]) -> List[Path]:
    """Return what can be played of a run, the one that was asked for first."""
    if saved is None:
        return []
    folder = RunFolder(saved.folder.path)
    others = [folder.best, *folder.checkpoints()]
    named = {path.name: path for path in (saved.file, *others) if path.is_file()}
    return list(named.values())
