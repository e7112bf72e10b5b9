"""Critics with a trunk of their own: what they see and remember, in every way of training."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Dict, List, Optional

import pytest
import torch
from torch import Tensor

from epo.config import AlgoCfg, ConfigError
from epo.config.interface import check_interface
from epo.contract import ContractError, check_env
from epo.envs import Step, VecEnv
from epo.learner.aggregation import relabel
from epo.models.standalone import StandalonePolicy
from epo.ranks import ALONE, Ranks
from epo.record.recorder import Recorder
from epo.runner import checkpoint
from epo.runner.evaluator import AgentPolicy, Evaluator, load_policy
from epo.runner.loop import Loop
from epo.runner.nonfinite import first_in_rollout
from epo.runner.pbt.process import PBT
from epo.runner.recording import watch
from epo.runner.trainer import Trainer
from epo.validation import validate
from tasks.probes.config import ProbeCfg
from tasks.probes.env import HiddenProbe, ReachProbe, make_probe
from tests.composed import composed
from tests.learner.small_run import small_cfg
from tests.ranks.threads import CPU, DealtEnv, on_ranks, one_at_a_time
from tests.runner.pbt.runs import config as pbt_config
from tests.runner.small_config import small_config

HIDDEN = ProbeCfg(name="ProbeHidden", probe="hidden", episode_length=4)
K, N = 3, 12


class SeenProbe(ReachProbe):
    """The reach probe, whose critic may see what the actor sees."""

    state_parts = MappingProxyType({"position": 2, "to_goal": 2})

    def _reveal(self) -> Tensor:
        return self._observe()

    def present_state(self) -> Tensor:
        return self._observe()


class OpenHidden(HiddenProbe):
    """The hidden probe, which can begin an agent's episodes anew."""

    reward_names = ()
    reward_parameters: Dict[str, Tensor] = {}  # noqa: RUF012

    def separate(self, num_agents: int) -> None:
        self.num_agents = num_agents

    def restart_agent(self, agent: int) -> Tensor:
        share = self.spec.num_envs // self.num_agents
        chosen = torch.arange(self.spec.num_envs) // share == agent
        self._restart(chosen)
        return self._observe()[chosen]

    def agent_state(self, agent: int) -> Dict[str, Any]:
        return {}

    def load_agent_state(self, agent: int, state: Dict[str, Any]) -> None:
        pass


def algo(critic: str, kind: str = "lstm", **network: Any) -> AlgoCfg:
    cfg = small_cfg(kind)
    cfg.network = replace(cfg.network, critic=critic, **network)
    cfg.ppo.bootstrap_truncated = True
    return cfg


def trainer(cfg: AlgoCfg, env: Optional[VecEnv] = None, ranks: Ranks = ALONE) -> Trainer:
    with one_at_a_time:  # the weights are drawn from torch's global generator
        env = env or make_probe(HIDDEN, N, CPU, 0, K)
        if ranks.size > 1:
            env = DealtEnv(env, K, ranks)
        config = small_config(algo=cfg, num_agents=K, num_envs=N)
        return Trainer(config, env, Recorder([]), ranks)


def weights(loop: Trainer) -> Dict[str, Tensor]:
    return {name: value.clone() for name, value in loop.model.state_dict().items()}


def iterated(loop: Any, num: int = 2) -> Any:
    for _ in range(num):
        loop.iterate()
    return loop


@pytest.mark.parametrize("kind", ["lstm", "mlp"])
def test_state_that_is_the_observation_gives_the_run_of_a_separate_critic(kind: str):
    def run(critic: str) -> Dict[str, Tensor]:
        env = SeenProbe(ProbeCfg(episode_length=4), N, CPU, 0)
        return weights(iterated(trainer(algo(critic, kind), env)))

    separate, asymmetric = run("separate"), run("asymmetric")
    assert separate.keys() == {n for n in asymmetric if not n.startswith("state_normalizer")}
    assert all(torch.equal(value, asymmetric[name]) for name, value in separate.items())
    assert torch.equal(asymmetric["state_normalizer.mean"], separate["observation_normalizer.mean"])


def test_the_actor_begins_as_with_a_shared_trunk_and_the_gene_is_of_both():
    shared, separate = (trainer(algo(critic)).model for critic in ("shared", "separate"))
    own = separate.state_dict()
    for name, value in shared.state_dict().items():
        assert name.startswith("value_head") or torch.equal(value, own[name]), name
    with torch.no_grad():
        separate.value_head.weight.fill_(1.0)
    observation = torch.randn(2, K, 1)
    memory, is_first = separate.initial_memory(K), torch.zeros(2, K, dtype=torch.bool)
    output = separate(observation, torch.arange(K), memory, is_first)
    names = [name for name, _ in separate.named_parameters()]
    for loss, others in ((output.mean, ("critic.", "value_head.")), (output.value, ())):
        loss = loss.square().sum()
        found = torch.autograd.grad(
            loss, list(separate.parameters()), retain_graph=True, allow_unused=True
        )
        touched = {name for name, gradient in zip(names, found) if gradient is not None}
        assert "gene" in touched
        if others:
            assert not {name for name in touched if name.startswith(others)}
        else:
            assert touched == {"gene"} | {n for n in names if n.startswith(("critic", "value"))}


def test_memory_after_a_rollout_is_that_of_a_replay_and_so_are_the_values():
    loop = iterated(trainer(algo("asymmetric")), 1)
    model, rollout = loop.model, loop.collector.collect()
    assert rollout.memory.shape == (2, N, 16) and rollout.memory[..., 8:].abs().sum() > 0
    assert rollout.state is not None and rollout.state.shape == (7, N, 2)
    with torch.no_grad():
        steps = (rollout.observation, rollout.agent, rollout.memory, rollout.is_first)
        whole = model(*steps, rollout.state)
        held = [x[:-1] if x.dim() > 1 and len(x) == 7 else x for x in steps]
        memory = model(*held, rollout.state[:-1]).memory
    torch.testing.assert_close(model.denormalize_value(whole.value), rollout.value)
    torch.testing.assert_close(memory, loop.collector._memory)


@pytest.mark.parametrize("hidden", ["unrolled", "stored"])
def test_relabelled_values_are_the_learners_of_the_state(hidden: str):
    cfg = algo("asymmetric")
    cfg.aggregation.hidden = hidden
    loop = iterated(trainer(cfg), 2)
    rollout = loop.collector.rollout
    env_ids, leader = torch.arange(8), torch.full((8,), K - 1)

    def value(agent: Tensor) -> Tensor:
        return relabel(rollout, loop.model, env_ids, agent, cfg.aggregation, 0.99).value

    own, others = value(rollout.agent[:8]), value(leader)
    # With the weights after the update; the gene that acted gives another value than the leader's.
    assert not torch.allclose(own, others)
    assert rollout.state is not None
    rollout.state[..., 0] *= -1.0
    assert not torch.allclose(value(leader), others)


def test_values_need_the_privileged_observation():
    def explained(critic: str) -> float:
        cfg = algo(critic, "mlp")
        cfg.ppo.learning_rate, cfg.ppo.num_epochs, cfg.ppo.schedule = 1e-2, 5, "fixed"
        env = make_probe(replace(HIDDEN, episode_length=8), 48, CPU, 0, K)
        return iterated(trainer(cfg, env), 9).last_metrics["explained_variance"]

    assert explained("asymmetric") > 0.8
    assert max(explained("separate"), explained("shared")) < 0.2


def flat(state: Any, path: str = "") -> Dict[str, Any]:
    if isinstance(state, dict):
        parts = [flat(value, f"{path}.{key}") for key, value in state.items() if key != "wall_s"]
        return {name: value for part in parts for name, value in part.items()}
    return {path: state}


def differing(one: Loop, other: Loop) -> List[str]:
    found, expected = (flat(checkpoint.plain(loop.state_dict())) for loop in (one, other))
    assert found.keys() == expected.keys()
    return [
        name
        for name, value in expected.items()
        if torch.is_tensor(value) and not torch.equal(value, found[name])
    ]


def members(**more: Any) -> PBT:
    cfg = pbt_config("algo.network.kind=lstm", "algo.network.lstm_units=4", "num_envs=12")
    cfg.algo.network.critic, cfg.num_agents = "asymmetric", K
    env = OpenHidden(replace(HIDDEN, episode_length=3), N, CPU, 0)
    return PBT(cfg, env, Recorder([]))


@pytest.mark.parametrize("build", [lambda: trainer(algo("asymmetric")), members])
def test_resumed_run_equals_the_one_that_went_on(build: Any, tmp_path: Path):
    loop = iterated(build(), 2)
    checkpoint.save(tmp_path / "last.pt", checkpoint.plain(loop.state_dict()))
    resumed = build()
    resumed.load_state_dict(checkpoint.load(tmp_path / "last.pt"))
    assert not differing(iterated(resumed, 2), iterated(loop, 2))


def test_member_that_begins_anew_sees_the_state_of_its_new_episodes():
    pbt = iterated(members(), 1)
    pbt._begin_anew(1)
    rollout = pbt.collector.rollout
    assert rollout.state is not None
    assert torch.equal(rollout.state[-1], pbt.env.present_state())  # type: ignore[attr-defined]
    assert not pbt.collector._memory[:, 4:8].any()


def test_two_ranks_learn_what_one_process_learns():
    alone = weights(iterated(trainer(algo("asymmetric"))))
    for found in on_ranks(
        2, lambda ranks: weights(iterated(trainer(algo("asymmetric"), None, ranks)))
    ):
        for name, value in alone.items():
            torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5, msg=name)


@pytest.mark.parametrize("critic", ["separate", "asymmetric"])
def test_policy_acts_and_is_exported_without_the_critic(critic: str, tmp_path: Path):
    loop = iterated(trainer(algo(critic)), 1)
    env = make_probe(HIDDEN, 2, CPU, 1)
    policy = load_policy(loop.cfg.algo, K, loop.policy_state(), tmp_path, env, [1], None)
    assert isinstance(policy, AgentPolicy)
    evaluator = Evaluator(env, policy)
    exported, rows = StandalonePolicy(loop.model, 1), evaluator._observation
    inputs = exported.start(rows)
    assert sorted(inputs) == ["cell", "hidden", "observation"]
    for _ in range(3):
        action, hidden, cell = exported(inputs["observation"], inputs["hidden"], inputs["cell"])
        expected = policy.act(inputs["observation"], torch.tensor([False, False]))
        torch.testing.assert_close(action, expected.clamp(-1.0, 1.0))
        inputs.update(hidden=hidden, cell=cell, observation=torch.randn(2, 1))
    assert not any("critic" in name or "state" in name for name, _ in exported.named_buffers())
    evaluator.step()
    assert evaluator.running()


def test_state_that_is_not_finite_is_found():
    loop = iterated(trainer(algo("asymmetric")), 1)
    rollout = loop.collector.rollout
    assert rollout.state is not None and torch.isfinite(watch(loop.model, loop.collector))
    rollout.state[-1, 5, 1] = torch.nan
    assert watch(loop.model, loop.collector).isnan()
    found = first_in_rollout(rollout.tensors(), 6)
    assert found is not None and (found["quantity"], found["env"], found["step"]) == ("state", 5, 6)


def test_tasks_without_it_are_refused_in_one_line():
    reach = make_probe(ProbeCfg(), 2, CPU, 0)
    with pytest.raises(ConfigError) as caught:
        check_interface(algo("asymmetric"), reach.spec)
    message = "shows the critic no more than the actor; use separate or shared"
    assert str(caught.value) == f"algo.network.critic=asymmetric: ProbeReach {message}"


@pytest.mark.parametrize("name", ["pql", "rl_games_ppo"])
def test_algorithms_without_it_are_refused_in_one_line(name: str):
    if name == "rl_games_ppo":
        pytest.importorskip("rl_games")
    cfg = composed("task=ProbeReach", f"algo={name}", "algo.network.critic=separate")
    with pytest.raises(ConfigError, match=r"critic=separate: algo.trainer=.*shared"):
        validate(cfg)


def test_contract_of_the_state_is_checked():
    env = make_probe(HIDDEN, 2, CPU, 0)
    check_env(env)
    step = env.step

    def without(action: Tensor) -> Step:
        return step(action)._replace(final_state=None)

    env.step = without  # type: ignore[method-assign]
    with pytest.raises(ContractError, match=r"step\(\).final_state is missing"):
        check_env(env)
    blind = make_probe(ProbeCfg(), 2, CPU, 0)
    blind.spec = replace(blind.spec, state_parts={"mass": 1})
    with pytest.raises(ContractError, match="present_state missing"):
        check_env(copy.copy(blind))
