"""Episodes of batched environments are the same, in whatever manner the library begins them."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import numpy as np
import pytest
import torch

from epo.config import ConfigError
from epo.envs import EnvError, StateEnv, VecEnv
from tasks import registry
from tasks.engines.config import AutoCfg
from tasks.vector.config import VectorCfg
from tests.tasks.vector import toys

CPU = torch.device("cpu")
TOYS = "tests.tasks.vector.toys"
MANNERS: Dict[str, Dict[str, Any]] = {
    **{f"{mode}": {"mode": mode} for mode in ("next_step", "same_step", "disabled")},
    **{f"{m} torch": {"mode": m, "as_torch": True} for m in ("next_step", "disabled")},
    "final_obs": {"last": "extras"},
    "manual": {"last": "manual", "group": "actor"},
    "lost": {"last": "lost"},
}
Transition = Tuple[float, float, bool, bool, float]


def build(function: str, num_envs: int = 4, **settings: Any) -> VecEnv:
    cfg = VectorCfg(make=f"{TOYS}:{function}", **settings)
    return registry.make(cfg, AutoCfg(), num_envs, CPU, 0)


def build_manner(manner: str) -> VecEnv:
    kwargs = MANNERS[manner]
    return build("make_manager" if "last" in kwargs else "make_gymnasium", kwargs=kwargs)


def live(env: VecEnv, num_steps: int) -> Tuple[List[List[Transition]], List[List[float]]]:
    """Return the experience of every environment, and the returns of its episodes."""
    shown = env.reset().clone()
    experience: List[List[Transition]] = [[] for _ in range(env.spec.num_envs)]
    returns: List[List[float]] = [[] for _ in experience]
    for _ in range(num_steps):
        step = env.step(torch.zeros(env.spec.num_envs, env.spec.action_dim))
        for i, mine in enumerate(experience):
            if step.valid is not None and not step.valid[i]:
                assert step.reward[i] == 0 and not (step.terminated | step.truncated)[i]
                continue
            done = bool(step.terminated[i] | step.truncated[i])
            after = float((step.final_observation if done else step.observation)[i, 0])
            flags = bool(step.terminated[i]), bool(step.truncated[i])
            mine.append((float(shown[i, 0]), float(step.reward[i]), *flags, after))
            if done:
                returns[i].append(float(step.metrics["fitness"][i]))
        shown = step.observation.clone()
    return experience, returns


def expected(i: int, num: int, is_last_lost: bool) -> List[Transition]:
    """Count by hand what environment i lives through."""
    length, found = 3 + i, []
    for step in range(num):
        count = step % length
        is_last = count == length - 1
        after = count if is_last and is_last_lost else count + 1
        found.append((count, count + 1, is_last and i % 2 == 0, is_last and i % 2 == 1, after))
    return found


@pytest.mark.parametrize("manner", MANNERS)
def test_every_manner_gives_the_same_episodes(manner: str):
    experience, returns = live(build_manner(manner), 20)
    for i, mine in enumerate(experience):
        assert len(mine) >= 15
        assert mine == expected(i, len(mine), is_last_lost=manner == "lost")
        length = 3 + i
        assert returns[i] and set(returns[i]) == {length * (length + 1) / 2}


@pytest.mark.parametrize("manner", MANNERS)
def test_the_critic_sees_its_groups_beside_the_observation(manner: str):
    kwargs = MANNERS[manner]
    if "last" in kwargs:  # the group `critic`: a 7, and the policy's with the other sign
        env, parts = build_manner(manner), {"critic": 3}
    else:
        groups: Dict[str, Any] = {"observation_groups": ["policy"], "critic_groups": ["hidden"]}
        env, parts = build("make_groups", kwargs=kwargs, **groups), {"hidden": 2}
    assert env.spec.state_parts == parts and env.spec.observation_dim == 2
    assert isinstance(env, StateEnv)
    shown = env.reset().clone()
    assert torch.equal(env.present_state()[:, -2:], -shown)
    num_ends = 0
    for _ in range(12):
        step = env.step(torch.zeros(4, env.spec.action_dim))
        assert step.state is not None and step.final_state is not None
        assert torch.equal(step.state, env.present_state())
        assert torch.equal(step.state[:, -2:], -step.observation)
        done = step.terminated | step.truncated
        assert torch.equal(step.final_state[done, -2:], -step.final_observation[done])
        num_ends += int(done.sum())
    assert num_ends > 4


def test_groups_of_the_critic_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=r"task.critic_groups='secret' is unknown.*hidden"):
        build("make_groups", critic_groups=["secret"])
    with pytest.raises(ValueError, match=r"task.critic_groups=.*hidden.* Vector shows one array"):
        build("make_gymnasium", critic_groups=["hidden"])


def test_maniskill_speaks_with_the_words_of_gymnasium_029():
    cfg = VectorCfg(make="tests.tasks.vector.toys:ManiSkillToy")
    env = registry.make(cfg, AutoCfg(), 4, CPU, 0)
    experience, _ = live(env, 12)
    assert [mine == expected(i, 12, False) for i, mine in enumerate(experience)] == [True] * 4


@pytest.mark.parametrize("manner", ["next_step", "same_step", "disabled"])
def test_success_counts_once_in_an_episode(manner: str):
    env = build_manner(manner)
    assert (env.spec.success, env.spec.headline) == ("success", ("success",))
    env.reset()
    seen = set()
    for _ in range(20):
        step = env.step(torch.zeros(4, 2))
        done = step.terminated | step.truncated
        # Every episode passes count 3, at its end or before.
        seen |= set(step.metrics["success"][done].tolist())
    assert seen == {1.0}


def test_actions_are_scaled_to_the_bounds_and_unbounded_ones_to_the_range():
    env = build("make_gymnasium", action_range=2.5)
    env.reset()
    env.step(torch.tensor([[-1.0, -9.0]] * 4))
    action = env.dialect.env.actions[-1]  # type: ignore[attr-defined]
    assert isinstance(action, np.ndarray) and action.dtype == np.float32
    # [-1, 3] is bounded; [-1, inf) is not.
    assert action.tolist() == [[-1.0, -2.5]] * 4


def test_choices_are_indices():
    toy = toys.GymnasiumToy(2, space=toys.DISCRETE)
    from tasks.vector.adapt import adapt

    env = adapt(toy, VectorCfg(make="a:b"), 2, CPU, 0)
    assert (env.spec.choices, env.spec.action_dim) == ((3,), 1)
    env.reset()
    env.step(torch.tensor([[2.0], [7.0]]))
    assert toy.actions[-1].tolist() == [2, 2] and toy.actions[-1].dtype == np.int64


def test_log_is_kept_until_it_is_told_anew():
    env = build_manner("lost")
    env.reset()
    scalars = [env.step(torch.zeros(4, 2)).scalars for _ in range(4)]
    assert float(scalars[-1]["log/Episode_Reward/count"]) == 1.5
    assert "log/words" not in scalars[-1]


def test_buffers_of_the_environment_do_not_reach_the_step_before():
    env = build_manner("manual")
    env.reset()
    first = env.step(torch.zeros(4, 2))
    reward, flags = first.reward.clone(), first.terminated.clone()
    for _ in range(2):
        env.step(torch.zeros(4, 2))
    assert torch.equal(first.reward, reward) and torch.equal(first.terminated, flags)


def test_resumed_run_begins_new_episodes_and_says_so(caplog: pytest.LogCaptureFixture):
    env = build_manner("lost")
    env.reset()
    state = env.state_dict()
    assert state == {"common_step_counter": env.dialect.env.common_step_counter}  # type: ignore
    other = build_manner("lost")
    other.load_state_dict({"common_step_counter": 77})
    assert "cannot be saved" in caplog.text
    assert other.dialect.env.common_step_counter == 77  # type: ignore[attr-defined]
    step = other.step(torch.zeros(4, 2))
    assert step.valid is not None and not step.valid.any() and (step.observation[:, 0] == 0).all()
    assert other.step(torch.zeros(4, 2)).valid.all()  # type: ignore[union-attr]


def test_ours_is_taken_as_it_is():
    env = build("make_ours", num_envs=6)
    assert (env.spec.name, env.spec.num_envs, env.reset().shape) == ("Mine", 6, (6, 4))


def test_what_an_environment_raises_is_one_line():
    env = build_manner("lost")
    env.reset()
    env.dialect.env.step = None  # type: ignore[attr-defined]
    with pytest.raises(EnvError, match=r"Vector: TypeError: .*not callable"):
        env.step(torch.zeros(4, 2))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"make": ""}, "task.make=.nothing. .*task.make=module:function"),
        ({"make": "no.such:f"}, "no module no; install it"),
        ({"make": f"{TOYS}:make_gymnasum"}, "did you mean 'make_gymnasium'"),
        ({"make": f"{TOYS}:make_nothing"}, "returns nothing"),
        ({"make": f"{TOYS}:make_single"}, "does not step environments at once.*num_envs"),
        ({"make": f"{TOYS}:make_failing"}, "RuntimeError: no licence and more; it got num_envs=4"),
        ({"make": f"{TOYS}:make_fixed"}, "num_envs=4 .*built 5.*num_envs=5"),
        ({"make": f"{TOYS}:make_silent"}, "task.autoreset=auto .*next_step, same_step, disabled"),
        ({"make": f"{TOYS}:make_wrong_rows"}, r"shows \[5, 2\]; rows must be environments"),
        ({"make": f"{TOYS}:make_nan"}, r"reset\(\) holds numbers that are not finite"),
        ({"make": f"{TOYS}:make_wrong_ours"}, r"reward has the shape \[4, 1\]; it must be \[4\]"),
        ({"make": f"{TOYS}:make_gymnasium", "api": "manager"}, "has no episode_length_buf"),
        ({"make": f"{TOYS}:make_gymnasium", "api": "gym"}, "did you mean 'gymnasium'"),
        ({"make": f"{TOYS}:make_gymnasium", "kwargs": {"mood": 1}}, "TypeError: .*mood"),
        ({"make": f"{TOYS}:make_gymnasium", "observation_groups": ["a"]}, "shows one array"),
        ({"make": f"{TOYS}:make_manager", "observation_groups": ["polcy"]}, "mean 'policy'"),
        ({"make": f"{TOYS}:make_gymnasium", "action_range": 0.0}, "task.action_range=0.0"),
    ],
)
def test_bad_input_is_one_line(settings: Dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message) as caught:
        registry.make(VectorCfg(**settings), AutoCfg(), 4, CPU, 0)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, ConfigError)
