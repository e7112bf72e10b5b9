"""The public library: what a script of yours calls instead of the commands.

import epo

cfg = epo.compose("task=Pendulum", "algo=ppo", "max_iterations=100")
run = epo.train(cfg)
print(epo.evaluate(run, episodes=20))
policy = epo.load(run)
action = policy.act(observation)
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Union

from epo import program
from epo.cli import environment
from epo.cli.overrides import overrides
from epo.config import Config, ConfigError
from epo.quoting import assignment

if TYPE_CHECKING:
    from epo.envs import VecEnv
    from epo.policy import LoadedPolicy

Make = Callable[..., Any]
"""Builds environments, as `task.make` does (docs/vector.md)."""


class TrainingFailedError(RuntimeError):
    """A run that ended with an error; the message says which folder, and why."""


def compose(*settings: str, make: Optional[Make] = None) -> Config:
    """Return a checked configuration with every `auto` decided.

    Args:
        settings: as on the command line, `name=value`.
        make: function that builds the environments, instead of `task=Vector task.make=...`. It must
            be importable: a function of a module, or of the script that runs.

    Raises:
        ConfigError: at a wrong setting, as on the command line.
    """
    environment.register()
    lines = [*settings]
    if make is not None:
        lines = ["task=Vector", assignment("task.make", target_of(make)), *lines]
    (cfg,) = environment.configurations(lines) or [None]
    if cfg is None:
        raise ConfigError("flag", " ".join(settings), "settings are written name=value")
    return environment.ready(cfg)[0]


def make_env(cfg: Config) -> VecEnv:
    """Build the environments of a configuration; close them when they are no longer needed.

    Raises:
        ConfigError: if a setting turns out impossible.
    """
    return environment.make_env(cfg)


def train(cfg: Config, env: Optional[VecEnv] = None) -> Path:
    """Train as a configuration says, and return the folder of the run.

    A run is resumed, played and plotted like any other; `resume` and `run_dir` are settings.

    Args:
        cfg: of `compose`.
        env: environments to train on instead of those of `cfg.task`; closed at the end. Only your
            own code can build them again, so such a run is resumed by this function and not by the
            command; pass `make` to `compose` where that matters.

    Raises:
        ConfigError: if a setting turns out impossible.
        TrainingFailedError: if the run fails; what was learned is saved.
        KeyboardInterrupt: at Ctrl-C, after the run is saved.
    """
    # Imports torch.
    from epo.contract import check_env
    from epo.runner.run import run
    from epo.runner.run_folder import RunFolder, as_plain, default_run_dir

    environment.check_learnable(cfg)
    make = environment.make_learnable
    if env is not None:
        given = env
        check_env(env)
        if env.spec.num_envs != cfg.num_envs:
            raise ConfigError("num_envs", cfg.num_envs, f"env has {env.spec.num_envs}; use that")
        make = lambda _: given  # noqa: E731
    resumed = cfg.resume not in ("never", "auto")
    if cfg.run_dir is None and not resumed:
        cfg.run_dir = str(default_run_dir(cfg))
    settings = overrides(as_plain(cfg))
    with program.started_with(settings):
        code = run(cfg, make)
    folder = Path(str(cfg.run_dir if cfg.run_dir is not None else cfg.resume))
    if code == 130:
        raise KeyboardInterrupt
    if code:
        reason = RunFolder(folder).read_summary().get("error", f"it ended with code {code}")
        raise TrainingFailedError(f"{folder}: {reason}")
    return folder


def evaluate(
    run: Union[str, Path],
    *,
    agents: str = "leader",
    episodes: int = 100,
    deterministic: bool = True,
    settings: Union[List[str], tuple] = (),
) -> List[Dict[str, Any]]:
    """Measure what agents of a run reach in new episodes.

    Args:
        run: run folder (its `best.pt`, or else `last.pt`) or a checkpoint in one.
        agents: `leader`, `all`, or indices such as `0,3,7`.
        episodes: of each agent.
        deterministic: the agents do what they think best; otherwise with their training noise.
        settings: of the task, as on the command line.

    Returns:
        A dictionary for each agent: `agent`, `return`, `length`, `success_rate` and `metrics`, each
        number as `value` with the ends `low` and `high` of its 95 % interval, and all `episodes`.

    Raises:
        ConfigError: if something cannot be evaluated.
    """
    environment.register()
    from epo.cli.eval import command
    from epo.cli.eval.options import Options, check
    from epo.runner.saved_run import SavedRun

    options = Options(agents=agents, episodes=episodes)
    check(options)
    saved = SavedRun(Path(run))
    cfg = command.configuration(saved, options, options.engine, list(settings))
    mode = "deterministic" if deterministic else "stochastic"
    return [result.as_plain() for result in command.evaluate(saved, options, cfg, mode)]


def load(
    run: Union[str, Path],
    agent: Union[int, str] = "leader",
    *,
    device: str = "cpu",
    deterministic: bool = True,
    seed: int = 0,
) -> LoadedPolicy:
    """Load an agent of a run; nothing of its task is built or imported.

    Args:
        run: run folder (its `best.pt`, or else `last.pt`) or a checkpoint in one.
        agent: index, or `leader`.
        device: where it computes.
        deterministic: it does what it thinks best; otherwise with its training noise.
        seed: of the noise.

    Raises:
        ConfigError: if there is no such agent or checkpoint.
    """
    from epo.policy import load as load_policy

    return load_policy(Path(run), agent, device, None if deterministic else seed)


def check_env(env: Any, num_steps: int = 3) -> None:
    """Step an environment a few times, and refuse what breaks the contract, in one line.

    Args:
        env: a `VecEnv`, or batched environments that `task=Vector` takes.
        num_steps: control steps.

    Raises:
        ValueError: naming what is wrong and what it must be.
    """
    from epo import contract
    from epo.envs import EnvSpec

    if not isinstance(getattr(env, "spec", None), EnvSpec) and hasattr(env, "num_envs"):
        env = environment.adapt(env)
    contract.check_env(env, num_steps)


def register(kind: str, target: str) -> None:
    """Make a family of tasks known: its `task.kind`, and `package.module:FAMILY`.

    Raises:
        ValueError: if it cannot be imported, or the kind is another family's.
    """
    environment.register_family(kind, target)


def target_of(make: Make) -> str:
    """Write a function as `module:name`, so that a resumed run finds it again.

    Raises:
        ConfigError: if it has no name in a module.
    """
    module, name = make.__module__, getattr(make, "__qualname__", "")
    if module == "__main__":
        script = inspect.getsourcefile(make)
        module = Path(script).stem if script else module
        if module != "__main__" and str(Path(str(script)).parent) not in sys.path:
            module = "__main__"
    if not name.isidentifier() or module == "__main__":
        raise ConfigError("make", name or make, "use a function at the top of a module or a script")
    return f"{module}:{name}"
