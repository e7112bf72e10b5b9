"""What is measured on a device: steps of jobs, each job a Python process that prints JSON."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Tuple

PACKAGE = "epo.cli.gpu"
MINUTES = "{minutes}"
"""Stands for the time that is left to a job, minutes."""
PYTHON = "{python}"
"""Stands for this interpreter, which has rl_games (`make setup`): nothing is downloaded."""
TASKS = {"one_arm": "AllegroKukaRegrasping", "two_arms": "AllegroKukaTwoArmsReorientation"}


class Job(NamedTuple):
    """A process.

    Attributes:
        name: of its numbers, unique in the step.
        arguments: of the Python interpreter.
        least_s: with less time left it is not started, s.
        is_endless: it has always more to do.
    """

    name: str
    arguments: Tuple[str, ...]
    least_s: float = 60.0
    is_endless: bool = False


class Step(NamedTuple):
    """Jobs that answer one question.

    Attributes:
        name: as in `step=<name>`.
        help: what it measures.
        jobs: in their order.
    """

    name: str
    help: str
    jobs: Tuple[Job, ...]


class Sizes(NamedTuple):
    """How large and how long everything is on a kind of device.

    Attributes:
        device: as in `device=<device>`.
        engine: overrides that choose the physics' engine.
        envs: numbers of environments of `bench sim`.
        graphs: settings that are compared there.
        sim: how long `bench sim` measures.
        learner: overrides of learner benches and whole runs.
        learn: how often the learner is timed.
        peers: the same beside rl_games.
        parity: arguments of the comparison of engines.
        tests: arguments of pytest.
        minutes: of a whole run.
        curve_minutes: by which the learning curve grows in a call.
    """

    device: str
    engine: Tuple[str, ...]
    envs: Tuple[int, ...]
    graphs: str
    sim: Tuple[str, ...]
    learner: Tuple[str, ...]
    learn: Tuple[str, ...]
    peers: Tuple[str, ...]
    parity: Tuple[str, ...]
    tests: Tuple[str, ...]
    minutes: float
    curve_minutes: str


ON_CUDA = Sizes(
    device="cuda",
    engine=("engine=mujoco_warp",),
    envs=(4096, 8192, 24_576),
    graphs="engine.graph=true,false",
    sim=("steps=300", "seconds=8", "repetitions=5"),
    learner=("num_envs=24576",),
    learn=("repetitions=8", "warm_up=3", "shares=false"),
    peers=("turns=8", "warm_up=2", "net=lstm", "num_envs=24576"),
    parity=("num_envs=256", "steps=1,6,12,60"),
    tests=("-m", "gpu", "tests"),
    minutes=5.0,
    curve_minutes=MINUTES,
)
_TINY = ("algo.network.lstm_units=8", "algo.network.mlp_units=[16]", "num_agents=4")
ON_CPU = Sizes(
    device="cpu",
    engine=("engine=mujoco",),
    envs=(4, 8),
    graphs="engine.num_threads=1,2",
    sim=("steps=4", "seconds=0.1", "repetitions=1"),
    learner=("num_envs=16", *_TINY),
    learn=("repetitions=1", "warm_up=1", "threads=1", "shares=false"),
    peers=(
        *("turns=1", "warm_up=1", "threads=1", "net=mlp", "num_envs=16"),
        "algo.network.mlp_units=[16]",
    ),
    parity=("num_envs=4", "steps=1,2"),
    tests=("tests/record/test_files.py",),
    minutes=0.1,
    curve_minutes="0.1",
)
"""A rehearsal: every command runs, no number means anything."""


def sizes(device: str) -> Sizes:
    """Return the sizes for a device: those of a GPU, or toys."""
    if device == "cpu":
        return ON_CPU
    return ON_CUDA._replace(device=device)


def steps(device: str, folder: str) -> List[Step]:
    """List everything, the shortest and most telling first.

    Args:
        device: to measure.
        folder: where results, and runs below it, are kept.
    """
    size = sizes(device)
    on = f"device={device}"
    return [
        Step("environment", "what this machine has", (_own("machine", "machine", device),)),
        Step("tests", "tests that need the device", (_own("pytest", "tests", *size.tests),)),
        Step("parity", "the engine against MuJoCo in C", _parity(size)),
        Step("memory", "memory of whole runs", _per_task("memory", size, on, *size.engine)),
        Step("bench_sim", "physics and whole task", _bench_sim(size)),
        Step("bench_learn", "the learner of EPO-64", _bench_learn(size)),
        Step("bench_peers", "the learner beside rl_games", (_peers(size),)),
        *_runs(size, on, *size.engine, f"max_minutes={size.minutes:g}", folder=folder),
        Step("curve", "a learning curve, longer with every call", (_curve(size, folder),)),
    ]


def _job(name: str, *arguments: str) -> Job:
    return Job(name, ("-m", "epo", *arguments))


def _own(name: str, module: str, *arguments: str) -> Job:
    return Job(name, ("-m", f"{PACKAGE}.{module}", *arguments))


def _parity(size: Sizes) -> Tuple[Job, ...]:
    return tuple(
        _own(name, "parity", f"device={size.device}", f"task={task}", "algo=ppo", *size.parity)
        for name, task in TASKS.items()
    )


def _per_task(module: str, size: Sizes, *settings: str, folder: str = "") -> Tuple[Job, ...]:
    where = (f"runs={folder}/runs",) if folder else ()
    algo = ("algo=epo", *size.learner)
    return tuple(
        _own(name, module, *where, f"task={task}", *algo, *settings) for name, task in TASKS.items()
    )


def _runs(size: Sizes, *settings: str, folder: str) -> Tuple[Step, ...]:
    """A step for each task: together they would take more than ten minutes."""
    jobs = _per_task("run", size, *settings, folder=folder)
    text = f"a whole run of {size.minutes:g} minutes, and where its time goes"
    return tuple(Step(f"run_{job.name}", text, (job,)) for job in jobs)


def _bench_sim(size: Sizes) -> Tuple[Job, ...]:
    rest = (f"device={size.device}", *size.engine, size.graphs, *size.sim)
    return tuple(
        _job(f"{name}_{num_envs}", "bench", "sim", f"task={task}", f"num_envs={num_envs}", *rest)
        for name, task in TASKS.items()
        for num_envs in size.envs
    )


def _bench_learn(size: Sizes) -> Tuple[Job, ...]:
    """Every row is a process: compiled or not, it must not hold the memory of the others."""
    rest = ("algo=epo", f"device={size.device}", *size.learner, *size.learn)
    variants: Dict[str, Tuple[str, str]] = {
        f"{precision}{'_compiled' if compiled == 'true' else ''}": (precision, compiled)
        for precision in ("fp32", "bf16")
        for compiled in ("false", "true")
    }
    return tuple(
        _job(name, "bench", "learn", *rest, f"precision={precision}", f"compile={compiled}")
        for name, (precision, compiled) in variants.items()
    )


def _peers(size: Sizes) -> Job:
    where = (f"device={size.device}", f"peer_python={PYTHON}")
    return _job("ppo", "bench", "peers", *where, *size.peers)


def _curve(size: Sizes, folder: str) -> Job:
    job = _own(
        "curve",
        "curve",
        f"folder={folder}",
        f"minutes={size.curve_minutes}",
        f"task={TASKS['one_arm']}",
        "algo=epo",
        f"device={size.device}",
        *size.engine,
        *size.learner,
    )
    return job._replace(is_endless=True, least_s=120.0 if size.device != "cpu" else 10.0)
