"""Fuzzed command lines: right names with wild values, wrong types, wrong names, wrong grammar."""

from __future__ import annotations

import random
import signal
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

from omegaconf import OmegaConf

from epo.cli.environment import CONFIG_DIR
from tests.composed import composed
from tests.stress.command import Done, last_line, train
from tests.stress.experiment import Experiment, Outcome
from tests.stress.forks import fork

LIMIT_S = 20.0
"""CPU time of a run, s; one that is still at work then, since its size is large, is stopped."""
STOPPED = (143, -signal.SIGTERM)
"""Its exit code then: in training, or before it began."""
SAMPLE = 25
"""Every SAMPLE-th list also goes through the real command, which must end in the same way."""
SIZES = ("algo.network.mlp_units=[8]", "algo.ppo.horizon=4", "algo.ppo.num_epochs=1")
ALONE = ("algo.ppo.minibatch_size=null", "algo.ppo.num_minibatches=1", "algo.network.kind=mlp")
ALGOS = {"ppo": 1, "sapg": 3, "epo": 4, "epo_official": 4, "pql": 1, "pbt": 3}
ALGOS.update({"ppo_br": 1, "ppo_kl": 1, "poem": 1, "rl_games_ppo": 1})
"""Algorithm -> agents."""
TASKS = (
    *(["task=ProbeReach"] for _ in range(4)),
    *([f"task=Probe{name}"] for name in ("Value", "Memory", "Gene")),
    *(["task=AllegroKukaRegrasping", "engine=mujoco"] for _ in range(2)),
    ["task=AllegroKukaTwoArmsReorientationPartition", "engine=mujoco"],
    ["task=Gymnasium", "task.env_id=Pendulum-v1", "task.num_workers=0"],
)
NUMBERS = (
    *("0", "-1", "1", "2", "3", "0.5", "-0.0", "1e-300", "1e300", "-1e300", "1e23", "nan", "inf"),
    *("-inf", "2147483647", "2147483648", "9223372036854775807", "9223372036854775808", "1e400"),
    *("0x10", "007", "1_000", "1e3", "100000000000000000000000000"),
)
WORDS = (
    *(
        "",
        "null",
        "true",
        "no",
        "word",
        "'two words'",
        "[]",
        "[1]",
        "[1,2,3]",
        "{}",
        "{a:1}",
        "[[1]]",
    ),
    *("''", "'\\''", '"', "Ü·日本", "???", "${seed}", "${nope}", "${oc.env:HOME}", "a=b", "~", "*"),
    *("'%s'", "$HOME", "\\", "(1)", "1,2", "range(1,3)", "choice(1,2)", "!!python/none", "x" * 300),
)
ELSEWHERE = ("pql", "pbt", "rl_games", "poem")
"""Parts of `algo` that only algorithms of that name read."""
_LOCK = threading.Lock()
"""Hydra composes once at a time."""
PATHS = ("run_dir", "checkpoint", "resume")
"""Settings that name files: they get no value here, each case has a run folder of its own."""


def lines(case: int) -> List[str]:
    """Draw the command line of a case; the same in every session."""
    draw = random.Random(case)
    algo = draw.choice(sorted(ALGOS))
    agents = ALGOS[algo]
    base = [*draw.choice(TASKS), f"algo={algo}", f"num_agents={agents}", f"num_envs={4 * agents}"]
    base += ["device=cpu", "max_iterations=1", *SIZES, *ALONE]
    with _LOCK:
        names = _relevant(
            algo, tuple(line for line in base if line.startswith(("task=", "engine=", "algo=")))
        )
    mutations = [
        draw.choices(*zip(*MUTATIONS))[0](draw, names) for _ in range(draw.choice((1, 1, 1, 2, 4)))
    ]
    return [*base, *mutations]


def wild(draw: random.Random, names: Dict[str, Any]) -> str:
    """Return a setting a number that no one would."""
    return f"{draw.choice(sorted(names))}={draw.choice(NUMBERS)}"


def wrong_type(draw: random.Random, names: Dict[str, Any]) -> str:
    """Return a setting something of another type or grammar."""
    return f"{draw.choice(sorted(names))}={draw.choice(WORDS)}"


def tame(draw: random.Random, names: Dict[str, Any]) -> str:
    """Move a setting a little, within its type."""
    name = draw.choice(sorted(names))
    value = names[name]
    if isinstance(value, bool):
        return f"{name}={str(not value).lower()}"
    if isinstance(value, int):
        return f"{name}={value + draw.choice([-1, 0, 1, 2])}"
    if isinstance(value, float):
        return f"{name}={value * draw.choice([0.5, 0.9, 1.0, 1.1, 2.0])}"
    return f"{name}={'null' if value is None else value}"


def wrong_name(draw: random.Random, names: Dict[str, Any]) -> str:
    """Misspell a setting, or take only a part of its name."""
    name = draw.choice(sorted(names))
    place = draw.randrange(len(name))
    return draw.choice(
        [
            f"{name[:place]}{name[place + 1 :]}=1",
            f"{name[:place]}{name[place:][::-1]}=1",
            f"{name.rpartition('.')[2]}=1",
            f"{name.rpartition('.')[0] or name}=1",
            f"{name}.more=1",
            f"{name}[0]=1",
        ]
    )


def wrong_grammar(draw: random.Random, names: Dict[str, Any]) -> str:
    """Write what is no `name=value`."""
    name = draw.choice(sorted(names))
    forms = [name, f"={name}", f"+{name}=1", f"~{name}", f"++{name}=1", f"{name}=1,2", f"{name}=["]
    forms += [
        f"{name}=" + "{",
        f"-{name}",
        f"{name} = 1",
        f"{name}:1",
        f"@{name}=1",
        f"{name}=='1'",
    ]
    return draw.choice(forms)


def group(draw: random.Random, names: Dict[str, Any]) -> str:
    """Choose another option of a group, or one that does not exist."""
    kind = draw.choice(["task", "engine", "algo", "experiment", "record"])
    options = [path.stem for path in sorted((CONFIG_DIR / kind).glob("*.yaml"))]
    return f"{kind}={draw.choice([*options, 'Nope', 'null', '', '[a]'])}"


MUTATIONS: Tuple[Tuple[Callable[[random.Random, Dict[str, Any]], str], int], ...] = (
    (wild, 35),
    (wrong_type, 20),
    (tame, 25),
    (wrong_name, 8),
    (wrong_grammar, 6),
    (group, 6),
)
"""Ways to change a line and how often they are drawn, per cent."""


def run(case: int, folder: Path) -> Outcome:
    """Run a fuzzed command line for one iteration."""
    arguments = [*lines(case), "run_dir=run"]
    outcome = Outcome("overrides", case, " ".join(arguments))
    done = fork(arguments, folder, LIMIT_S)
    outcome.fault, outcome.result = done.fault, _result(done)
    if done.code in STOPPED:
        outcome.fault = ""
    elif case % SAMPLE == 0 and not outcome.fault:
        real_folder = folder / "real"
        real_folder.mkdir()
        real = train(arguments, real_folder)
        outcome.figures["real"] = True
        outcome.fault = real.fault and f"the real command: {real.fault}"
        if not outcome.fault and (real.code, last_line(real.err)) != (
            done.code,
            last_line(done.err),
        ):
            outcome.fault = f"the real command ends with {real.code}: {last_line(real.err)}"
    return outcome


def _result(done: Done) -> str:
    if done.code == 0:
        return "valid run"
    if done.code in STOPPED:
        return f"stopped after {LIMIT_S:.0f} s of CPU time"
    return "refused in one line" if done.code == 2 else "ended with a line while running"


def _relevant(algo: str, groups: Tuple[str, ...]) -> Dict[str, Any]:
    """Return the settings of the chosen groups that the algorithm reads."""
    skipped = tuple(f"algo.{part}." for part in ELSEWHERE if not algo.startswith(part))
    found = _settings(groups)
    return {name: value for name, value in found.items() if not name.startswith(skipped)}


@lru_cache(maxsize=None)
def _settings(groups: Tuple[str, ...]) -> Dict[str, Any]:
    """Return every setting of the chosen groups with its value."""
    plain = OmegaConf.to_container(OmegaConf.structured(composed(*groups)))
    found: Dict[str, Any] = {}

    def collect(tree: Any, prefix: str) -> None:
        for name, value in tree.items():
            if isinstance(value, dict):
                collect(value, f"{prefix}{name}.")
            elif f"{prefix}{name}" not in PATHS:
                found[f"{prefix}{name}"] = value

    collect(plain, "")
    return found


def _summary(outcomes: List[Outcome]) -> List[str]:
    sample = sum(bool(outcome.figures.get("real")) for outcome in outcomes)
    return [f"{sample} of the lists also went through `python train.py` and ended in the same way."]


EXPERIMENT = Experiment(
    name="overrides",
    promise="Whatever stands on the command line, the answer is one clear line or a valid run, "
    "never a traceback.",
    how="A task, an algorithm and one to four random changes: wild numbers, other types, misspelt "
    "names, broken grammar, other groups, drawn from the schema. One iteration in a fork of a "
    "process that has imported everything, with 4 GiB of memory.",
    count=500,
    run=run,
    summary=_summary,
)
