"""Which parts a configuration asks for: the schedule of the clip range, and the hooks."""

from __future__ import annotations

from typing import List

import torch

from epo.config import AlgoCfg
from epo.config.batch import num_copies
from epo.learner.adversary import Adversary
from epo.learner.clip import ClipSchedule, Scheduled, Unclipped
from epo.learner.cpo import Cloning, KLConstraint
from epo.learner.diagnostics import Diagnostics
from epo.learner.dual_signal import DualSignal, EntropyScale
from epo.learner.followers import FollowerLeash
from epo.learner.hooks import UpdateHook
from epo.learner.objective import Objective
from epo.learner.poem import Poem
from epo.models.actor_critic import ActorCritic
from epo.ranks import Deal


def make_clip_schedule(cfg: AlgoCfg, model: ActorCritic) -> ClipSchedule:
    """Return the schedule that `cfg.clip` asks for."""
    if cfg.clip.kind == "none":
        return Unclipped()
    if cfg.clip.kind == "constant":
        return Scheduled(cfg.clip, cfg.ppo)
    floor_std = cfg.clip.floor_std if cfg.clip.entropy_floor == "sigma" else 0.0
    scale = EntropyScale(
        model.distribution, model.policy_dim, cfg.network.initial_log_std, floor_std
    )
    return DualSignal(cfg.clip, cfg.ppo, scale, model.log_std.device)


def make_hooks(
    cfg: AlgoCfg,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    deal: Deal,
    seed: int,
) -> List[UpdateHook]:
    """Return the hooks that `cfg` asks for, in their order; the diagnostics see the others' work.

    Args:
        cfg: of the algorithm.
        objective: PPO's loss.
        optimizer: of its parameters.
        deal: of the environments.
        seed: of the learner; hooks draw from streams of their own.
    """
    hooks: List[UpdateHook] = []
    num_agents = objective.model.num_agents
    has_followers = num_copies(num_agents, cfg.aggregation) > 0
    if cfg.aggregation.follower_kl_coef and has_followers:
        hooks.append(FollowerLeash(cfg.aggregation, objective))
    if num_agents > 1 and cfg.aggregation.mode == "leader_follower":
        hooks += _cpo_hooks(cfg, objective, deal, seed)
    if cfg.poem.enabled:
        hooks.append(Poem(cfg.poem, objective, optimizer, deal, seed + 1))
    if cfg.diagnostics.enabled:
        hooks.append(Diagnostics(cfg, objective))
    return hooks


def _cpo_hooks(cfg: AlgoCfg, objective: Objective, deal: Deal, seed: int) -> List[UpdateHook]:
    """Return the parts of CPO whose coefficients are set."""
    hooks: List[UpdateHook] = []
    adversary = None
    if cfg.cpo.adversary.coef:
        adversary = Adversary(cfg.cpo.adversary, cfg.ppo, objective, deal, seed + 2)
        hooks.append(adversary)
    if cfg.cpo.lambda_kl:
        block = deal.num_here // objective.model.num_agents
        hooks.append(KLConstraint(cfg.cpo, objective, block))
    if cfg.cpo.awac.beta:
        awac = cfg.cpo.awac
        hooks.append(Cloning(awac, cfg.aggregation, objective, deal, seed + 3, adversary))
    return hooks
