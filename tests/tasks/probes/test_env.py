"""Every probe against a scripted policy whose return is known."""

from __future__ import annotations

from typing import Callable, List

import pytest
import torch
from torch import Tensor

from epo.cli.environment import CONFIG_DIR
from epo.envs import Step
from epo.population.fitness import FitnessTracker
from tasks.probes.config import ProbeCfg
from tasks.probes.env import PROBES, Probe, ReachProbe, make_probe

CPU = torch.device("cpu")
LENGTHS = {"value": 1, "discount": 4, "policy": 1, "memory": 5, "gene": 1, "hidden": 8, "reach": 50}
TASKS = CONFIG_DIR / "task"


def build(probe: str, num_envs: int = 16, seed: int = 0, num_agents: int = 4) -> Probe:
    """Build a probe with its published episode length."""
    cfg = ProbeCfg(name=f"Probe{probe.title()}", probe=probe, episode_length=LENGTHS[probe])
    return make_probe(cfg, num_envs, CPU, seed, num_agents)


def play(env: Probe, policy: Callable[[Tensor], Tensor], num_steps: int) -> List[Step]:
    """Let a policy act on observations from a fresh reset."""
    observation = env.reset()
    steps: List[Step] = []
    for _ in range(num_steps):
        steps.append(env.step(policy(observation)))
        observation = steps[-1].observation
    return steps


def idle(env: Probe) -> Callable[[Tensor], Tensor]:
    """Do nothing."""
    return lambda observation: torch.zeros(len(observation), env.spec.action_dim)


@pytest.mark.parametrize("probe", sorted(PROBES))
def test_step_keeps_the_contract(probe: str) -> None:
    env = build(probe)
    assert env.reset().shape == (16, env.spec.observation_dim)
    for count in range(1, 2 * LENGTHS[probe] + 1):
        step = env.step(torch.zeros(16, env.spec.action_dim))
        assert step.observation.shape == step.final_observation.shape
        assert step.observation.shape == (16, env.spec.observation_dim)
        assert step.reward.shape == step.metrics["fitness"].shape == (16,)
        assert not (step.terminated & step.truncated).any()
        done = step.terminated | step.truncated
        assert done.tolist() == [count % LENGTHS[probe] == 0] * 16
    env.close()


def test_value_probe_pays_one_for_anything() -> None:
    env = build("value")
    for step in play(env, lambda o: 5.0 * torch.ones(len(o), 1), 3):
        assert step.reward.tolist() == [1.0] * 16
        assert step.terminated.all()


def test_discount_probe_pays_at_the_end_only() -> None:
    env = build("discount")
    steps = play(env, idle(env), 8)
    # Reward at steps 3 and 7, so the first observation is worth gamma^3.
    assert [float(s.reward[0]) for s in steps] == [0, 0, 0, 1, 0, 0, 0, 1]
    # The observation is the elapsed share; where an episode ended that of the next one.
    assert [float(s.observation[0]) for s in steps[:5]] == [0.25, 0.5, 0.75, 0.0, 0.25]
    assert float(steps[3].final_observation[0]) == 1.0


def test_policy_probe_pays_the_sign_and_nothing_to_the_blind() -> None:
    env = build("policy", num_envs=4000)
    seeing = play(env, lambda o: o, 2)
    blind = play(env, lambda o: torch.ones(len(o), 1), 1)
    assert all(s.reward.tolist() == [1.0] * 4000 for s in seeing)
    # 5 standard errors of a mean of signs: 5 / sqrt(4000) = 0.079.
    assert float(blind[0].reward.mean()) == pytest.approx(0.0, abs=0.079)


def test_memory_probe_pays_who_remembers_the_first_observation() -> None:
    env = build("memory", num_envs=4000)
    memory = torch.zeros(4000, 1)

    def recall(observation: Tensor) -> Tensor:
        nonlocal memory
        cue = observation[:, :1]
        memory = torch.where(cue != 0.0, cue, memory)
        return memory

    steps = play(env, recall, 10)
    assert [float(s.reward.min()) for s in steps] == [0, 0, 0, 0, 1] * 2
    assert steps[4].metrics["fitness"].tolist() == [1.0] * 4000
    reactive = play(env, lambda o: o[:, :1] + 0.5, 5)[4].reward
    # Half a sign each; 5 standard errors: 5 * 0.5 / sqrt(4000) = 0.040.
    assert float(reactive.mean()) == pytest.approx(0.0, abs=0.040)


def test_gene_probe_shows_nothing_and_pays_each_agent_for_its_own_action() -> None:
    env = build("gene", num_envs=16, num_agents=4)
    observation = env.reset()
    assert not observation.any()
    # Targets -0.75, -0.25, 0.25, 0.75 in hidden order, the same for an agent's 4 environments.
    per_agent = torch.stack([env.step(torch.full((16, 1), a)).reward for a in (-0.75, 0.75)])
    best = per_agent.view(2, 4, 4)
    assert torch.equal(best, best[:, :, :1].expand_as(best))
    payoff = best[0, :, 0]
    # 1 - |-0.75 - target| = 1, 0.5, 0, -0.5.
    torch.testing.assert_close(payoff.sort().values, torch.tensor([-0.5, 0.0, 0.5, 1.0]))
    tracker = FitnessTracker(16, 4, CPU)
    tracker.update(env.step(torch.full((16, 1), -0.75)))
    torch.testing.assert_close(tracker.snapshot().fitness.float(), payoff)


def test_gene_probe_hides_its_targets_by_the_seed() -> None:
    rewards = []
    for seed in (0, 0, 1):
        env = build("gene", num_envs=64, seed=seed, num_agents=64)
        rewards.append(play(env, idle(env), 1)[0].reward)
    assert torch.equal(rewards[0], rewards[1])
    assert not torch.equal(rewards[0], rewards[2])


def test_reach_probe_is_solved_by_steering_and_not_by_idling() -> None:
    env = build("reach", num_envs=1000)
    steering = play(env, lambda o: o[:, 2:] / ReachProbe.max_step_m, 50)[-1]
    # Goals lie 1.04 m apart on average; at 0.1 m per step and axis less the 0.1 m radius that
    # is 7 to 10 steps each, so 5 to 7 goals in 50 steps.
    assert 5.0 < float(steering.metrics["successes"].mean()) < 7.0
    resting = play(env, idle(env), 50)[-1]
    # Idle points only start on a goal: pi 0.1^2 of area 4 is 0.8 %; 5 standard errors 1.4 %.
    assert float((resting.metrics["successes"] > 0).float().mean()) < 0.022
    assert steering.truncated.all()


def test_reach_probe_reward_is_the_approach_plus_one_per_goal() -> None:
    env = build("reach", num_envs=1)
    env.reset()
    state = env.state_dict()
    state["state"] = {
        "position": torch.tensor([[0.0, 0.0]]),
        "goal": torch.tensor([[0.25, 0.0]]),
    }
    env.load_state_dict(state)
    first = env.step(torch.tensor([[3.0, 0.0]]))
    # Clamped to 0.1 m: from 0.25 m to 0.15 m, not reached; then to 0.05 m, reached.
    assert float(first.reward) == pytest.approx(0.1, abs=1e-6)
    torch.testing.assert_close(first.observation, torch.tensor([[0.1, 0.0, 0.15, 0.0]]))
    assert float(env.step(torch.tensor([[1.0, 0.0]])).reward) == pytest.approx(1.1, abs=1e-6)


def test_final_observation_is_of_the_ended_episode() -> None:
    env = build("reach")
    last = play(env, idle(env), 50)[-1]
    before = env.state_dict()["state"]
    torch.testing.assert_close(last.observation[:, :2], before["position"])
    assert not (last.final_observation[:, :2] == last.observation[:, :2]).any()


@pytest.mark.parametrize("probe", sorted(PROBES))
def test_resumed_probe_equals_uninterrupted_one(probe: str) -> None:
    env, resumed = build(probe, seed=1), build(probe, seed=1 if probe == "gene" else 2)
    actions = torch.randn(8, 16, env.spec.action_dim, generator=torch.Generator().manual_seed(0))
    env.reset()
    for action in actions[:3]:
        env.step(action)
    resumed.load_state_dict(env.state_dict())
    for action in actions[3:]:
        one, other = env.step(action), resumed.step(action)
        assert torch.equal(one.observation, other.observation)
        assert torch.equal(one.reward, other.reward)
        assert torch.equal(one.metrics["fitness"], other.metrics["fitness"])


@pytest.mark.parametrize("probe", sorted(PROBES))
def test_yaml_names_its_probe(probe: str) -> None:
    omegaconf = pytest.importorskip("omegaconf")
    cfg = omegaconf.OmegaConf.load(TASKS / f"Probe{probe.title()}.yaml")
    assert cfg.pop("defaults") == ["base_probe", "_self_"]
    merged = omegaconf.OmegaConf.merge(omegaconf.OmegaConf.structured(ProbeCfg), cfg)
    expected = ProbeCfg(name=f"Probe{probe.title()}", probe=probe, episode_length=LENGTHS[probe])
    assert omegaconf.OmegaConf.to_object(merged) == expected


def test_unknown_probe_is_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"task.probe='reech': choose one of value, discount"):
        make_probe(ProbeCfg(probe="reech"), 1, CPU, 0)


def test_empty_episode_is_refused() -> None:
    with pytest.raises(ValueError, match=r"task\.episode_length=0: must be at least 1"):
        make_probe(ProbeCfg(episode_length=0), 1, CPU, 0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("probe", sorted(PROBES))
def test_probe_and_tracker_step_without_sync_on_gpu(probe: str) -> None:
    device = torch.device("cuda")
    cfg = ProbeCfg(probe=probe, episode_length=LENGTHS[probe])
    env, tracker = make_probe(cfg, 64, device, 0, 4), FitnessTracker(64, 4, device)
    env.reset()
    action = torch.zeros(64, env.spec.action_dim, device=device)
    tracker.update(env.step(action))
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(LENGTHS[probe]):
            tracker.update(env.step(action))
        tracker.snapshot()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert tracker.snapshot().is_known.all()
