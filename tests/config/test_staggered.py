"""Which tasks can begin at staggered clocks, and what the refusals say."""

from __future__ import annotations

import pytest

from epo.cli.environment import check_learnable
from epo.config import ConfigError
from tests.composed import CONFIG_DIR, composed

GYMNASIUM = "task=Gymnasium task.env_id=CartPole-v1"
FINE = [
    "task=AllegroKukaRegrasping",  # shows its clock
    "task=ProbeDiscount",
    "task=ProbeReach algo.ppo.bootstrap_truncated=true",
    "task=ProbeReach algo=pql",  # which always bootstraps
    f"{GYMNASIUM} algo.ppo.bootstrap_truncated=true",
]
REFUSED = {
    "task=ProbeReach": r"states end at once; use algo\.ppo\.bootstrap_truncated=true, or stagg",
    "task=ProbeMemory algo.ppo.bootstrap_truncated=true": r"at once; use staggered_starts=false$",
    "task=AllegroKukaThrow engine=isaacgym": "the clock of AllegroKukaThrow on engine=isaacgym",
    GYMNASIUM: r"states end at once; use algo\.ppo\.bootstrap_truncated=true",
    "task=Gymnasium task.env_id=tests.tasks.gymnasium.toys:Counting-v0": (
        r"no time limit; use task\.max_episode_steps=<steps>, or staggered_starts=false$"
    ),
}


def _needs_gymnasium(command: str) -> None:
    if "Gymnasium" in command:
        pytest.importorskip("gymnasium")


@pytest.mark.parametrize("command", FINE)
def test_clock_that_is_seen_or_bootstrapped_is_taken(command: str):
    _needs_gymnasium(command)
    check_learnable(composed("algo=ppo", *command.split(), "staggered_starts=true"))


@pytest.mark.parametrize("command", REFUSED)
def test_others_are_refused_in_one_line(command: str):
    _needs_gymnasium(command)
    with pytest.raises(ConfigError, match=REFUSED[command]) as refused:
        check_learnable(composed("algo=ppo", *command.split(), "staggered_starts=true"))
    assert str(refused.value).startswith("staggered_starts=true: ")
    assert "\n" not in str(refused.value)
    check_learnable(composed("algo=ppo", *command.split()))


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (CONFIG_DIR / "experiment" / "paper").glob("*.yaml"))
)
def test_published_settings_start_together(name: str):
    assert composed(f"experiment=paper/{name}").staggered_starts is False
