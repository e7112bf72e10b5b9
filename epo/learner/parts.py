"""Which parts a configuration asks for: the schedule of the clip range, and the hooks."""

from __future__ import annotations

from typing import List
from zlib import crc32

from epo.components import hooks
from epo.config import AlgoCfg
from epo.config.batch import num_copies
from epo.learner.adversary import Adversary
from epo.learner.clip import ClipSchedule, Scheduled, Unclipped
from epo.learner.cpo import Cloning, KLConstraint
from epo.learner.diagnostics import Diagnostics
from epo.learner.dual_signal import DualSignal, EntropyScale
from epo.learner.followers import FollowerLeash
from epo.learner.hooks import HookParts, UpdateHook
from epo.learner.poem import Poem
from epo.models.actor_critic import ActorCritic


def no_clip(cfg: AlgoCfg, model: ActorCritic) -> ClipSchedule:
    """Return the schedule of `algo.clip.kind=none`."""
    return Unclipped()


def constant_clip(cfg: AlgoCfg, model: ActorCritic) -> ClipSchedule:
    """Return the schedule of `algo.clip.kind=constant`."""
    return Scheduled(cfg.clip, cfg.ppo)


def dual_signal_clip(cfg: AlgoCfg, model: ActorCritic) -> ClipSchedule:
    """Return the schedule of `algo.clip.kind=br`."""
    floor_std = cfg.clip.floor_std if cfg.clip.entropy_floor == "sigma" else 0.0
    scale = EntropyScale(
        model.distribution, model.policy_dim, cfg.network.initial_log_std, floor_std
    )
    return DualSignal(cfg.clip, cfg.ppo, scale, model.log_std.device)


def make_hooks(parts: HookParts) -> List[UpdateHook]:
    """Return the hooks that the settings ask for, in their order.

    Those of `algo.hooks` come after ours, but before the diagnostics, which see all their work.
    """
    cfg, objective = parts.cfg, parts.objective
    found: List[UpdateHook] = []
    num_agents = objective.model.num_agents
    has_followers = num_copies(num_agents, cfg.aggregation) > 0
    if cfg.aggregation.follower_kl_coef and has_followers:
        found.append(FollowerLeash(cfg.aggregation, objective))
    if num_agents > 1 and cfg.aggregation.mode == "leader_follower":
        found += _cpo_hooks(parts)
    if cfg.poem.enabled:
        found.append(Poem(cfg.poem, objective, parts.optimizer, parts.deal, parts.seed + 1))
    for name in cfg.hooks:
        # A stream of random numbers of its own, whatever else is switched on.
        seed = (parts.seed + crc32(name.encode())) % 2**63
        hook = hooks.get(name, cfg.own)(parts._replace(seed=seed))
        hook.name = name
        found.append(hook)
    if cfg.diagnostics.enabled:
        found.append(Diagnostics(cfg, objective))
    return found


def _cpo_hooks(parts: HookParts) -> List[UpdateHook]:
    """Return the parts of CPO whose coefficients are set."""
    cfg, objective, deal = parts.cfg, parts.objective, parts.deal
    found: List[UpdateHook] = []
    adversary = None
    if cfg.cpo.adversary.coef:
        adversary = Adversary(cfg.cpo.adversary, cfg.ppo, objective, deal, parts.seed + 2)
        found.append(adversary)
    if cfg.cpo.lambda_kl:
        block = deal.num_here // objective.model.num_agents
        found.append(KLConstraint(cfg.cpo, objective, block))
    if cfg.cpo.awac.beta:
        awac, seed = cfg.cpo.awac, parts.seed + 3
        found.append(Cloning(awac, cfg.aggregation, objective, deal, seed, adversary))
    return found
