"""Off-policy data: sequences of one agent, relabelled as another agent's experience (SAPG)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

import torch
from torch import Tensor

from epo.config import AggregationCfg
from epo.config.batch import num_copies
from epo.learner.batch import RawBatch
from epo.models.actor_critic import ActorCritic
from epo.rollout.storage import Rollout


@dataclass
class Relabelled(RawBatch):
    """S sequences of T steps as the learning agent sees them: its values, one-step returns.

    Attributes:
        importance: [T, S] learning over behaviour policy before the update.
    """

    importance: Tensor


def entropy_ladder(num_agents: int, scale: float, like: Tensor) -> Tensor:
    """Return the entropy coefficients [K]: scale * 0.5 * (1 - i / (K - 1)), the leader's 0.

    Source: SAPG section 4.2 as realised in its code (linspace(0.5, 0, K)).
    """
    if num_agents == 1:
        return like.new_zeros(1)
    # c_i = scale * 0.5 (1 - i / (K - 1)),  i = 0 .. K - 1
    return torch.linspace(0.5, 0.0, num_agents, dtype=like.dtype, device=like.device) * scale


def draw_sources(
    num_agents: int, block: int, cfg: AggregationCfg, generator: torch.Generator
) -> Tuple[Tensor, Tensor]:
    """Draw which sequences are relabelled, and for whom.

    Args:
        num_agents: K; the leader is the last agent.
        block: E, environments per agent.
        cfg: mode, sampling and ratio.
        generator: on the device of the result.

    Returns:
        env_ids [S] and learning agents [S], both int64.

    Source: SAPG (arXiv 2407.20230) section 4.1 and its code.
    """
    device = generator.device
    copies, leader = num_copies(num_agents, cfg), num_agents - 1
    if cfg.mode == "symmetric":
        # Agent k learns from agent (k + shift) mod K, whose environments are shift * E further on.
        shift = 1 + torch.randperm(num_agents - 1, generator=generator, device=device)[:copies]
        env = torch.arange(num_agents * block, device=device)
        env_ids = (env + shift[:, None] * block) % (num_agents * block)
        return env_ids.flatten(), (env // block).repeat(copies)
    if cfg.sampling == "uniform":
        order = torch.randperm(leader * block, generator=generator, device=device)
        env_ids = order[: copies * block]
    elif cfg.sampling == "stratified":
        env_ids = _stratified(leader, block, generator)[: copies * block]
    else:
        followers = torch.randperm(leader, generator=generator, device=device)[:copies]
        env_ids = (followers[:, None] * block + torch.arange(block, device=device)).flatten()
    return env_ids, torch.full_like(env_ids, leader)


def _stratified(num_followers: int, block: int, generator: torch.Generator) -> Tensor:
    """Order all followers' environments so that every run of K - 1 has one of each follower.

    Any number from the front then takes equally many of every follower, give or take one. Both
    the environments of a follower and the followers within a stretch are in random order.
    """
    shape, device = (num_followers, block), generator.device
    within = torch.rand(shape, generator=generator, device=device).argsort(dim=1)  # [K - 1, E]
    turns = torch.rand((block, num_followers), generator=generator, device=device).argsort(dim=1)
    # turns[e] is a permutation of the followers: [E, K - 1] environment of the one whose turn it is
    chosen = within.T.gather(1, turns)
    return (turns * block + chosen).flatten()


@torch.no_grad()
def relabel(
    rollout: Rollout,
    model: ActorCritic,
    env_ids: Tensor,
    agent: Tensor,
    cfg: AggregationCfg,
    gamma: float,
) -> Relabelled:
    """Value the sequences `env_ids` [S] as experience of `agent` [S].

    The old value is the learning agent's critic on the other's data, the return is the one-step
    return under the same critic. Where a time limit is bootstrapped, the final state keeps the
    value that the acting agent gave it.

    Source: SAPG section 4.1, eq. 3 (its code takes clip centre 1 and the stored LSTM states).
    """
    evaluate = _evaluate_stored if cfg.hidden == "stored" else _evaluate_unrolled
    mean, log_std, value = evaluate(rollout, model, env_ids, agent)
    mean, behaviour = mean[:-1], rollout.log_prob[:, env_ids]  # [T + 1, S, D] -> [T, S, D]; [T, S]
    done = rollout.is_first[1:, env_ids]  # [T, S]
    # y_t = r_t + gamma (1 - done_t) V_k(s_{t+1}),  A_t = y_t - V_k(s_t),  k the learning agent
    # (SAPG section 4.1: one-step return, since the trajectory is not from its policy)
    target = rollout.reward[:, env_ids] + gamma * torch.where(
        done, _at_end(rollout, env_ids, value), value[1:]
    )
    learner_log_prob = model.distribution.log_prob(rollout.action[:, env_ids], mean, log_std)
    # m_t = pi_k,old(a_t | s_t) / pi_j(a_t | s_t),  j the agent that acted   (SAPG eq. 3)
    importance = (learner_log_prob - behaviour).exp()  # [T, S]
    is_centred = cfg.clip_center == "mu"
    is_follower = cfg.kl_reference == "follower"
    return Relabelled(
        env_ids=env_ids,
        agent=agent,
        is_off_policy=torch.ones_like(agent, dtype=torch.bool),
        log_prob=learner_log_prob if is_centred else behaviour,
        weight=importance.clamp(max=cfg.max_importance) if is_centred else torch.ones_like(target),
        value=value[:-1],
        target=target,
        advantage=target - value[:-1],
        old_mean=mean,
        old_log_std=log_std,
        recent_mean=rollout.mean[:, env_ids] if is_follower else mean,
        recent_log_std=rollout.log_std[rollout.agent[env_ids]] if is_follower else log_std,
        importance=importance,
    )


def _at_end(rollout: Rollout, env_ids: Tensor, value: Tensor) -> Tensor:
    at_end: Optional[Tensor] = rollout.terminal_value
    return torch.zeros_like(value[1:]) if at_end is None else at_end[:, env_ids]


def _evaluate_unrolled(rollout: Rollout, model: ActorCritic, env_ids: Tensor, agent: Tensor):
    """Evaluate T + 1 steps unrolled from the first state, as the training pass does."""
    output = model(
        rollout.observation[:, env_ids],
        agent,
        rollout.memory[:, env_ids],
        rollout.is_first[:, env_ids],
        None if rollout.state is None else rollout.state[:, env_ids],
    )
    return output.mean, output.log_std, model.denormalize_value(output.value)


def _evaluate_stored(rollout: Rollout, model: ActorCritic, env_ids: Tensor, agent: Tensor):
    """Evaluate each step on its own, from the state that the acting agent had there."""
    if rollout.step_memory is None:
        raise ValueError("algo.aggregation.hidden=stored needs a rollout with step_memory")
    observation = rollout.observation[:, env_ids]  # [T + 1, S, O]
    steps, num = observation.shape[:2]
    memory = rollout.step_memory[:, :, env_ids]  # [T + 1, 2, S, H]
    memory = memory.transpose(0, 1).flatten(1, 2)  # -> [2, (T + 1) S, H]
    state = None if rollout.state is None else rollout.state[:, env_ids]  # [T + 1, S, ...]
    output = model(
        observation.flatten(0, 1).unsqueeze(0),
        agent.repeat(steps),
        memory,
        torch.zeros((1, steps * num), dtype=torch.bool, device=agent.device),
        None if state is None else state.flatten(0, 1).unsqueeze(0),
    )
    mean = output.mean.view(steps, num, -1)  # [1, (T + 1) S, D] -> [T + 1, S, D]
    value = model.denormalize_value(output.value).view(steps, num)
    return mean, output.log_std[:num], value
