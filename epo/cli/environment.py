"""From a command line to environments: here, and in train.py alone, `epo` meets `tasks`."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterator, List, Optional, Sequence, Tuple

from hydra.core.config_store import ConfigStore

import epo.config
from epo import program
from epo.cli import compose, plugins
from epo.cli.guidance import before
from epo.config import Config, ConfigError
from epo.config.devices import num_ranks, rank_device
from epo.config.interface import check_interface
from epo.config.staggered import check_staggered
from epo.terminal import say
from epo.validation import resolve, validate
from epo.viewer.page import check_package
from epo.world import find_world
from tasks import registry

if TYPE_CHECKING:
    from epo.envs import VecEnv
    from epo.viewer.scene import Scene
    from tasks.description import Description
    from tasks.readiness import Readiness
    from tasks.rendering import Renderer

    ReadinessCheck = Callable[[], Readiness]

_PLACES = [Path(epo.config.__file__).resolve().parents[i] / "cfg" for i in (1, 2)]
CONFIG_DIR = next((place for place in _PLACES if (place / "config.yaml").is_file()), _PLACES[1])
"""Folder that holds `config.yaml`: inside an installed package, or at the top of a checkout."""


@lru_cache(maxsize=None)  # Hydra keeps them as long as the process lives.
def register() -> None:
    """Tell Hydra the schemas of everything in `cfg/`."""
    store = ConfigStore.instance()
    epo.config.register(store)
    for failure in registry.store_schemas(store):
        say(f"warning: {failure}", is_error=True)


def load_plugins(words: Sequence[str]) -> None:
    """Import the modules that a command line names, and tell Hydra what they bring.

    That is settings of components, and families of tasks that they register.

    Raises:
        ConfigError: if one cannot be imported.
    """
    names = plugins.named(words)
    if names:
        plugins.import_all(names)
        store = ConfigStore.instance()
        registry.store_schemas(store)
        try:
            epo.config.register(store)
        except ValueError as error:
            raise ConfigError(plugins.NAME, ", ".join(names), str(error)) from error


def register_family(kind: str, target: str) -> None:
    """Make a family of tasks known, as `tasks.registry.register`, to Hydra too."""
    registry.register(kind, target)
    registry.store_schemas(ConfigStore.instance())


def adapt(env: Any) -> VecEnv:
    """Put batched environments of others behind the contract; any device, any size."""
    import torch

    from tasks.vector.adapt import adapt as put_behind
    from tasks.vector.config import VectorCfg

    device = torch.device(str(getattr(env, "device", "cpu")))
    return put_behind(env, VectorCfg(make=type(env).__name__), env.num_envs, device, 0)


def configurations(arguments: Sequence[str]) -> List[Config]:
    """Import the plugins of a command line, compose and validate it, its task's settings included.

    Returns:
        What would run, as in `epo.cli.compose.configurations`; nothing where a flag only informs.

    Raises:
        ConfigError: at the first mistake.
    """
    load_plugins(arguments)
    # Before `validate`, which may import torch. The runs of a multirun are processes of their own.
    is_multirun = bool(compose.MULTIRUN_FLAGS & set(arguments))
    with _task_errors():
        return compose.configurations(
            arguments,
            CONFIG_DIR,
            lambda cfg: None if is_multirun else preload(cfg),
            validate,
            lambda cfg: registry.check(cfg.task, cfg.engine),
        )


def preload(cfg: Config) -> None:
    """Import what the task and its engine need before torch."""
    registry.of(cfg.task).preload(cfg.task, cfg.engine)


def ready(cfg: Config) -> Tuple[Config, List[str]]:
    """Replace every `auto` by what this machine offers, the engine included.

    Returns:
        The configuration to run, and a line for every choice.

    Raises:
        ConfigError: if the device or the engine is not there.
    """
    with _task_errors():
        preload(cfg)
        family = registry.of(cfg.task)
        cfg, choices = resolve(cfg, family.devices(cfg.task, cfg.engine))
        return cfg, choices + family.choose_engine(cfg.task, cfg.engine, cfg.device)


def check_learnable(cfg: Config) -> None:
    """Refuse tasks that the algorithm cannot learn so, before environments are built.

    Raises:
        ConfigError: naming what does not fit.
    """
    family = registry.of(cfg.task)
    with _task_errors():
        interface = family.interface(cfg.task)
    if interface is not None:
        check_interface(cfg.algo, interface)
    if cfg.staggered_starts:
        with _task_errors():
            clock = family.clock(cfg.task, cfg.engine)
        check_staggered(cfg, clock)


def train(cfg: Config) -> int:
    """Run once, with every `auto` decided; give the exit code.

    Raises:
        ConfigError: if a setting turns out impossible.
    """
    cfg, choices = ready(cfg)
    check_learnable(cfg)
    if cfg.record.viewer:
        prepare_viewing(cfg, is_training=True)
        check_package("record.viewer", "true")
    size = num_ranks(cfg.devices, 0)
    if size > 1 and find_world() is None:
        from epo.ranks.launch import launch

        return launch(size, [*program.absolute()[1:], *program.started().settings])
    print(*choices, *before(cfg, *program.started()), sep="\n", flush=True)
    # Imports torch: what came before answered at once.
    import torch

    from epo.ranks.join import joined
    from epo.runner.run import run

    device, is_drawn = rank_device(cfg), registry.of(cfg.task).is_drawn

    def build(part: Config) -> VecEnv:
        return make_learnable(replace(part, device=device))

    with joined(torch.device(device), cfg.guard.rank_timeout_s) as ranks:
        if cfg.record.viewer and ranks.rank == 0:
            from epo.viewer.training import FirstWatched

            return run(cfg, FirstWatched(build, make_scene), is_drawn, ranks)
        return run(cfg, build, is_drawn, ranks)


def make_learnable(cfg: Config) -> VecEnv:
    """Build the task, and refuse what the algorithm cannot learn of it.

    Some tasks say what they show and take only once they are built.

    Raises:
        ConfigError: naming what does not fit.
    """
    env = make_env(cfg)
    try:
        check_interface(cfg.algo, env.spec)
    except ConfigError:
        env.close()
        raise
    return env


def make_env(cfg: Config) -> VecEnv:
    """Build the task on its engine.

    Raises:
        ConfigError: if a setting turns out impossible.
    """
    import torch

    device = torch.device(cfg.device)
    with _task_errors():
        return registry.make(cfg.task, cfg.engine, cfg.num_envs, device, cfg.seed, cfg.num_agents)


def imported_module(task: Any) -> Optional[str]:
    """Return the module that a saved task's settings would import; None: only installed code."""
    if not isinstance(task, dict):
        return None
    with _task_errors():
        return registry.family(str(task.get("kind"))).imported_module(task)


def prepare_drawing(cfg: Config) -> None:
    """Refuse tasks and engines without pictures, prepare others; call it before `make_env`.

    Raises:
        ConfigError: naming what cannot be drawn.
    """
    with _task_errors():
        registry.of(cfg.task).prepare_drawing(cfg.task, cfg.engine)


def make_renderer(cfg: Config, env: VecEnv, width: int, height: int) -> Renderer:
    """Get ready to draw the worlds of `env`, `width` x `height` pixels.

    Raises:
        ConfigError: if OpenGL cannot draw here.
    """
    with _task_errors():
        return registry.of(cfg.task).make_renderer(env, width, height)


def prepare_viewing(cfg: Config, is_training: bool) -> None:
    """Refuse tasks and engines without a live view; call it before `make_env`.

    Raises:
        ConfigError: naming what cannot be viewed.
    """
    with _task_errors():
        registry.of(cfg.task).prepare_viewing(cfg.task, cfg.engine, is_training)


def make_scene(cfg: Config, env: VecEnv) -> Scene:
    """Get ready to view the worlds of `env` live.

    Raises:
        ConfigError: if they cannot be viewed.
    """
    with _task_errors():
        return registry.of(cfg.task).make_scene(env)


def episode_length(cfg: Config) -> Optional[int]:
    """Return the time limit of an episode, control steps; None: there is none."""
    return registry.of(cfg.task).episode_length(cfg.task)


def longest_episode(cfg: Config) -> Optional[int]:
    """Return the most control steps of an episode, successes included; None: without end."""
    return registry.of(cfg.task).longest_episode(cfg.task)


def readiness_checks() -> List[ReadinessCheck]:
    """List what tells whether engines and families of tasks would work here."""
    from tasks.readiness import CHECKS

    return CHECKS


def describe(cfg: Config, env: VecEnv) -> Description:
    """Return what the numbers of a task's observations and actions are."""
    spec = env.spec
    return registry.of(cfg.task).describe(cfg.task, spec.observation_dim, spec.action_dim)


class TaskError(ConfigError):
    """A setting of task or engine that cannot work, in the task's own words."""

    def __init__(self, error: ValueError) -> None:
        ValueError.__init__(self, str(error))


@contextmanager
def _task_errors() -> Iterator[None]:
    """Report what tasks refuse like every other wrong setting."""
    try:
        yield
    except ConfigError:
        raise
    except ValueError as error:
        raise TaskError(error) from error
