"""`python -m epo bench peers`: our PPO beside rl_games' own, on the same work in the same run.

Every peer is a process of its own, and all of them take turns, an iteration each, so that what else
happens on the machine meets all of them; ratios are taken within a turn. The peer has no
diagnostics: ours are off, but in `epo_default`.
"""

from __future__ import annotations

import math
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, List, Optional, Sequence

from epo.cli.arguments import check_least, split
from epo.cli.bench.learn import num_threads
from epo.config import ConfigError
from epo.program import as_typed
from epo.validation import did_you_mean

if TYPE_CHECKING:
    from epo.cli.bench.peer_process import Setup
    from epo.cli.bench.peer_report import Measured

USAGE = """usage: python -m epo bench peers [turns=12] [warm_up=2] [threads=4] [dones=0.002]
                                 [also=PEERS] [peer_python=PATH] [name=value...]

  turns         iterations of every peer that are timed; reported are median, least, greatest
  warm_up       iterations before them
  threads       threads of torch on the CPU; default 4, or as many cores as there are
  dones         probability that an episode ends at a step
  also          further peers, separated by commas:
                  epo_default        our PPO with its own defaults, diagnostics on
                  rl_games_compiled  rl_games with torch.compile, as its own command runs it
  peer_python   an interpreter with rl_games and this torch; default: installed once by pip into
                  a virtual environment in the cache
  name=value    settings that rl_games can do, for both sides; several values are compared:
                  net=lstm,mlp (the default)   num_envs=1536,3072   device=cuda
                  algo.ppo.num_epochs=4        algo.rl_games.overrides.config.mixed_precision=true

Compared are in float32 `epo`, `rl_games`, and `rl_games_our_openmp`, whose threads wait as ours do
(OMP_WAIT_POLICY, GOMP_SPINCOUNT); `epo_bf16` where the device has bfloat16. Ratios are to the way
to run rl_games that is the fastest by its median. Every peer is a process, all of a configuration
are there at once and take turns; each gets the same OMP_NUM_THREADS. A table and a line of JSON
for every configuration.
"""
ALWAYS = ("epo", "rl_games", "rl_games_our_openmp", "epo_bf16")
"""Peers of every comparison; `epo_bf16` where the device has it."""
ALSO = ("epo_default", "rl_games_compiled")
"""What `also` may add."""


@dataclass
class PeersOptions:
    """What to measure, and how often."""

    turns: int = 12
    """Iterations of every peer that are timed."""
    warm_up: int = 2
    """Iterations before them."""
    threads: int = 0
    """Threads of torch on the CPU; 0: four, or as many cores as there are."""
    dones: float = 0.002
    """Probability that an episode ends at a step."""
    also: str = ""
    """Further peers, separated by commas."""
    peer_python: Optional[str] = None
    """Interpreter with rl_games; None: one in the cache."""


def main(arguments: Sequence[str]) -> None:
    """Measure every configuration of the command line, print tables and lines of JSON.

    What was measured is also printed if a later process fails or Ctrl-C is pressed.

    Raises:
        ConfigError: at a wrong setting, or if a process fails.
        SystemExit: at Ctrl-C.
    """
    if {"-h", "--help"} & set(arguments):
        print(as_typed(USAGE), end="")
        return
    options, others = split(arguments, PeersOptions())
    check(options)
    also = further_peers(options.also)
    # Import torch: what came before answered at once.
    from epo.cli.bench.peer_environment import peer_python
    from epo.cli.bench.peer_job import Plan, comparisons
    from epo.cli.bench.peer_process import Setup
    from epo.cli.bench.peer_report import Measured, report
    from epo.runner.provenance import device_name

    compared = comparisons(others, options.dones)
    plan = Plan(options.warm_up, options.turns, num_threads(options.threads), options.dones)
    setup = Setup(plan, peer_python(options.peer_python))
    device = compared[0].cfg.device
    machine = {"device": device, "device_name": device_name(device), **plan._asdict()}
    measured = [Measured(comparison, []) for comparison in compared]
    try:
        for one in measured:
            measure(one, setup, peers_for(one.comparison.cfg.device, also))
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # as a shell reports Ctrl-C
    finally:
        report(measured, machine)


def check(options: PeersOptions) -> None:
    """Refuse impossible values.

    Raises:
        ConfigError: at the first of them.
    """
    check_least(options, turns=1, warm_up=0, threads=0)
    if not (math.isfinite(options.dones) and 0.0 <= options.dones <= 1.0):
        raise ConfigError("dones", options.dones, "use a number from 0 to 1")


def further_peers(text: str) -> List[str]:
    """Read the names of `also`.

    Raises:
        ConfigError: at the first that is unknown.
    """
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in ALSO:
            way_out = f"unknown{did_you_mean(name, ALSO)} (choices: {', '.join(ALSO)})"
            raise ConfigError("also", name, way_out)
    return names


def peers_for(device: str, also: Sequence[str]) -> List[str]:
    """Name the peers in the order of the first turn."""
    return [name for name in (*ALWAYS, *also) if name != "epo_bf16" or has_bf16(device)]


def has_bf16(device: str) -> bool:
    """Return whether the device has bfloat16 arithmetic; without it there is nothing to gain."""
    from epo.models.precision import supports_bf16

    return supports_bf16(device)


def measure(measured: Measured, setup: Setup, peers: Sequence[str]) -> None:
    """Let all peers take turns; every other turn in the opposite order."""
    from epo.cli.bench.peer_process import PEERS

    settings = " ".join(measured.comparison.settings)
    plan = setup.plan
    with ExitStack() as stack:
        processes = []
        for name in peers:
            say(f"{settings}: starting {name}")
            started = PEERS[name](name, measured.comparison, setup)
            processes.append(stack.enter_context(started))
        for number in range(-plan.warm_up, plan.turns):
            turn = {}
            if number >= 0:
                measured.turns.append(turn)
            for peer in processes if number % 2 == 0 else reversed(processes):
                turn[peer.name] = peer.turn()
            rates = ", ".join(f"{name} {turn[name]['samples_per_s']:,.0f}" for name in peers)
            what = f"turn {number + 1}" if number >= 0 else "warm-up"
            say(f"{settings}, {what}: {rates} samples/s")


def say(text: str) -> None:
    """Return who waits what is going on."""
    print(text, file=sys.stderr, flush=True)
