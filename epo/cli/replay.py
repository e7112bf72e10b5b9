"""`python -m epo replay FOLDER`: repeat the iteration that a run failed in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Sequence

from epo.cli import compose, environment
from epo.cli.overrides import merge, overrides
from epo.cli.play.trust import check_plugins, check_trust
from epo.config import Config, ConfigError
from epo.program import as_typed

if TYPE_CHECKING:
    from epo.runner.failure import SavedFailure

USAGE = """usage: python -m epo replay FOLDER [SETTING=VALUE...]

  FOLDER     of a failure, <run>/failure/<time>
  SETTING    any setting of the run that is to be another one, such as device=cpu; trust=true
             imports the module that config.yaml names

It begins with the state before the iteration and ends with code 1 where the iteration fails again,
with 0 where it ends well. HYDRA_FULL_ERROR=1 shows the traceback.
"""
SETTINGS = (
    *("task", "engine", "algo", "guard", "num_agents", "num_envs", "seed", "device"),
    *("precision", "compile", "search_path", "plugins"),
)
"""What is taken over from the run."""


def main(words: Sequence[str]) -> None:
    """Repeat the iteration and say how it ended.

    Raises:
        ConfigError: if the folder holds no failure, or it does not fit.
        SystemExit: with code 1 if the iteration fails again.
    """
    if not words or any(word in ("-h", "--help") for word in words):
        print(as_typed(USAGE), end="")
        return
    environment.register()
    # Imports torch: what came before answered at once.
    import torch

    from epo.runner.failure import RecordedEnv, SavedFailure, repeat

    failure = SavedFailure(Path(words[0]).absolute())
    cfg = configuration(failure, words[1:])
    if failure.uses_recording:
        env = RecordedEnv(failure.spec, torch.device(cfg.device))
        how = "with the recorded rollout"
    else:
        env = environment.make_env(cfg)
        how = "with the environments"
        if failure.spec.has_invalid_steps:
            how += ", which begin new episodes: theirs could not be saved"
    print(f"iteration {failure.report['iteration']} again, {how}", flush=True)
    try:
        outcome = repeat(failure, cfg, env)
    finally:
        env.close()
    if not outcome.error:
        print(f"it ended well; recorded was: {failure.report['error']}")
        return
    print(f"error: {outcome.error}", file=sys.stderr)
    print("the recorded failure" if outcome.is_same else f"recorded: {failure.report['error']}")
    sys.exit(1)


def configuration(failure: SavedFailure, given: Sequence[str]) -> Config:
    """Compose the run's settings with `given` on top.

    Raises:
        ConfigError: at a wrong setting.
    """
    for word in given:
        if word.startswith("-") or "=" not in word:
            raise ConfigError("argument", word, "unknown; settings are written name=value")
    saved = {name: failure.settings[name] for name in SETTINGS if name in failure.settings}
    run_dir = str(failure.folder.parent.parent)
    if failure.uses_recording:
        # Nothing of the task is needed, so nothing of it is imported.
        given = check_plugins(failure.settings, str(failure.folder), given)
        words = merge(overrides(saved), given)
        environment.load_plugins(words)
        (cfg,) = compose.configurations(words, environment.CONFIG_DIR)
    else:
        given = check_trust(failure.settings, str(failure.folder), given)
        (cfg,) = environment.configurations(merge(overrides(saved), given))
        cfg, _ = environment.ready(cfg)
    cfg.run_dir = run_dir
    return cfg
