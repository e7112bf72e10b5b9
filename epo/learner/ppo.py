"""Proximal policy optimisation of the shared network; with relabelled data it is SAPG."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Optional, Sequence, Union

import torch
from torch import Tensor, nn

from epo.components import advantages, clip_ranges
from epo.config import AlgoCfg
from epo.config.batch import num_copies
from epo.learner.advantage import Estimator
from epo.learner.aggregation import Relabelled, draw_sources, relabel
from epo.learner.batch import PreparedBatch, RawBatch, minibatch_spans, on_policy_batch
from epo.learner.clip import ClipSchedule, Standing
from epo.learner.hooks import HookParts, UpdateHook
from epo.learner.metrics import MetricMeans
from epo.learner.objective import Objective, StepResult, Update
from epo.learner.optim import (
    adapt_learning_rate,
    fixed_learning_rate,
    make_adam,
    reset_moments,
    swap_rows,
)
from epo.learner.parts import make_hooks
from epo.learner.penalty import make_penalty
from epo.learner.signals import share_of_sums
from epo.learner.skipping import Skipping
from epo.models.actor_critic import ActorCritic
from epo.population.fitness import EpisodeReturns
from epo.ranks import ALONE, Deal, Ranks, Share
from epo.rollout.storage import Rollout


class PPO:
    """Update the actor-critic from a rollout: K agents on-policy, the leader off-policy as well.

    The clip range, the penalty and the hooks are parts that `cfg` chooses. The settings of
    `cfg.ppo` are read again in every update: in-place changes take effect at the next update.

    Args:
        model: the shared actor-critic.
        cfg: PPO, its parts, aggregation and normaliser settings.
        num_envs: environments here, N / W.
        seed: of the permutation of sequences and of the draw of followers.
        skips_nonfinite: leave minibatches out whose loss or gradient is not finite.
        ranks: that learn together; each sees its own environments, and all take the same steps.

    Attributes:
        signals: name -> [] tensor, what the parts say of the last update; NaN is no value.

    Source: PPO as in rl_games; SAPG (arXiv 2407.20230); EPO (arXiv 2503.19037).
    """

    def __init__(
        self,
        model: ActorCritic,
        cfg: AlgoCfg,
        num_envs: int,
        seed: int,
        skips_nonfinite: bool = False,
        ranks: Ranks = ALONE,
    ) -> None:
        self.model = model
        self.ranks = ranks
        self.cfg = cfg.ppo
        self.aggregation = cfg.aggregation
        self.block = num_envs // model.num_agents
        device = model.log_std.device
        self.deal = Deal(model.num_agents, num_envs, ranks, device)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.is_minibatch_timing = cfg.normalizer.timing == "minibatch"
        self.learning_rate = torch.tensor(
            self.cfg.learning_rate, dtype=torch.float64 if device.type == "cpu" else torch.float32
        ).to(device)
        self.optimizer = make_adam(model.parameters(), self.learning_rate, self.cfg.adam_eps)
        self.skipping = Skipping(self.optimizer, device) if skips_nonfinite else None
        self.estimate: Estimator = advantages.get(self.cfg.advantage, cfg.own)
        self.clip: ClipSchedule = clip_ranges.get(cfg.clip.kind, cfg.own)(cfg, model)
        self.penalty = make_penalty(cfg.penalty, device)
        self.objective = Objective(model, self.cfg, self.aggregation, self.penalty, ranks)
        self.hooks: List[UpdateHook] = make_hooks(
            HookParts(cfg, self.objective, self.optimizer, self.deal, seed)
        )
        self.frames = 0
        self.signals: Dict[str, Tensor] = {}

    def update(
        self, rollout: Rollout, returns: Optional[EpisodeReturns] = None
    ) -> Dict[str, Tensor]:
        """Learn from one rollout.

        Args:
            rollout: of all environments here; it is left as it is.
            returns: of the episodes that ended in it, on all ranks; None: unknown.

        Returns:
            name -> [] tensor on the device, all of them finite while training is sound.
        """
        means = MetricMeans()
        if self.skipping is not None:
            self.skipping.begin_update()
        update = self.begin(rollout, returns, means)
        order = self.draw_order(update.num_sequences)
        spans = minibatch_spans(update.num_sequences, rollout.horizon, self.cfg)
        minibatches = self.deal.split(order, spans, update.drawn)
        kl_old = torch.zeros_like(self.learning_rate)
        for hook in self.hooks:
            hook.on_update_start(update)
        for epoch in range(self.cfg.num_epochs):
            kl_old = self._epoch(update, minibatches, epoch, means)
        for hook in self.hooks:
            hook.on_update_end(update)
        self.signals = self._signals(kl_old)
        if self.penalty is not None:
            self.penalty.end_update(kl_old)
        self.frames += rollout.horizon * self.deal.num_envs
        if not self.is_minibatch_timing:
            state = None if rollout.state is None else rollout.state[:-1]
            self.model.see(rollout.observation[:-1], state, self.ranks)
        skipped = {} if self.skipping is None else self.skipping.read()
        return {**means.read(self.ranks), "lr": self.learning_rate.clone(), **skipped}

    def begin(
        self, rollout: Rollout, returns: Optional[EpisodeReturns], means: MetricMeans
    ) -> Update:
        """Prepare what the update learns from, and decide on the clip range and a fixed step."""
        if self.cfg.schedule == "fixed":
            self.learning_rate.fill_(fixed_learning_rate(self.frames, self.cfg))
        drawn = self.draw_sources() if self._has_copies else None
        extra = None if drawn is None else self._relabel(rollout, *drawn, means)
        own = rollout
        for hook in self.hooks:
            own = hook.shape(own)
        raw = self._assemble(own, extra, means)
        batch = self._prepare(raw, rollout.is_valid)
        standing = self._standing(rollout, returns)
        clip, env_ids = self.clip.begin_update(standing), None if drawn is None else drawn[0]
        num_sequences = self.deal.num_envs + (0 if env_ids is None else len(env_ids))
        return Update(rollout, batch, raw.advantage, extra, clip, standing, num_sequences, env_ids)

    @property
    def _has_copies(self) -> bool:
        """Whether sequences are relabelled."""
        return num_copies(self.model.num_agents, self.aggregation) > 0

    def _epoch(
        self, update: Update, minibatches: List[Share], epoch: int, means: MetricMeans
    ) -> Tensor:
        """Pass over the batch once, adapt the step size and return the mean KL(old || new) []."""
        kl, kl_old = torch.zeros_like(self.learning_rate), torch.zeros_like(self.learning_rate)
        num: Union[int, Tensor] = 0  # minibatches that were not left out
        for ids, update.num_present in minibatches:
            result = self.step(update, ids, epoch)
            for hook in self.hooks:
                hook.on_minibatch_end(update, result)
            self._count(means, result, update.batch.is_off_policy[ids])
            is_fine = result.is_fine
            kl += _where(is_fine, result.kl.to(kl))
            kl_old += _where(is_fine, result.kl_old.to(kl_old))
            num = num + (1 if is_fine is None else is_fine.to(kl))
        for hook in self.hooks:
            hook.on_epoch_end(update)
        if self.cfg.schedule == "adaptive":
            adapted = adapt_learning_rate(self.learning_rate, kl / num, self.cfg)  # 0 / 0: kept
            self.learning_rate.copy_(adapted)
        return kl_old / num

    def step(self, update: Update, ids: Tensor, epoch: int) -> StepResult:
        """Take one optimiser step on the sequences `ids` [B'] of the batch; all ranks take it."""
        batch = update.batch
        if self.is_minibatch_timing and epoch == 0:
            seen = update.sequences(ids)
            self.model.see(seen.observation, seen.state, self.ranks)
        found = self.objective.evaluate(update, ids)
        loss = found.loss
        for hook in self.hooks:
            loss = hook.add_to_loss(update, found, loss)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        kl = self._mean_kl(found.terms.kl.detach(), found.samples.batch.is_off_policy, epoch)
        self.ranks.add_gradients(self.model.parameters())
        grad_norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.cfg.max_grad_norm)
        is_fine = None if self.skipping is None else self.skipping.look(loss, grad_norm)
        self.optimizer.step()  # pyright: ignore[reportUnknownMemberType]
        mean, log_std = found.output.mean.detach(), found.output.log_std.detach()
        if is_fine is not None:
            mean = torch.where(is_fine, mean, batch.recent_mean[:, ids])
            log_std = torch.where(is_fine, log_std, batch.recent_log_std[ids])
        batch.recent_mean[:, ids], batch.recent_log_std[ids] = mean, log_std
        kl_old = found.kl_old.detach()
        return StepResult(ids, found.terms, loss.detach(), kl, kl_old, grad_norm, is_fine)

    def _mean_kl(self, kl: Tensor, is_off_policy: Tensor, epoch: int) -> Tensor:
        if self.aggregation.kl_reference == "exclude" and epoch == 0:
            own = (~is_off_policy).to(kl.dtype).expand_as(kl)
            return self.ranks.ratio((kl * own).sum(), own.sum(), 1.0)
        return self.ranks.mean(kl)

    @torch.no_grad()
    def _standing(self, rollout: Rollout, returns: Optional[EpisodeReturns]) -> Standing:
        """Return what schedules go by; the leader's block is the last one."""
        mean, log_std = rollout.mean[:, -self.block :], rollout.log_std[-1]
        is_valid = None if rollout.is_valid is None else rollout.is_valid[:, -self.block :]
        entropy = self.ranks.mean(self.model.distribution.entropy(mean, log_std), is_valid)
        if returns is None:
            return Standing(self.frames, entropy, torch.full_like(entropy, math.nan))
        return Standing(self.frames, entropy, returns.mean()[-1])

    def _signals(self, kl_old: Tensor) -> Dict[str, Tensor]:
        """Collect the metrics of all parts for this update."""
        signals = dict(self.clip.metrics())
        if self.penalty is not None:
            signals.update({"penalty/beta": self.penalty.coef, "penalty/kl": kl_old})
        for hook in self.hooks:
            signals.update(hook.metrics())
        return signals

    def _relabel(
        self, rollout: Rollout, env_ids: Tensor, agent: Tensor, means: MetricMeans
    ) -> Relabelled:
        """Value those of the drawn sequences [S'] that are here as their learners' [S']."""
        env_ids, agent = self.deal.keep(env_ids, agent)
        extra = relabel(rollout, self.model, env_ids, agent, self.aggregation, self.cfg.gamma)
        log_std = rollout.log_std[rollout.agent[env_ids]]
        means.add("importance/mean", extra.importance)
        # (sum m)^2 / (n sum m^2), in float64 since the square of a small weight m underflows.
        m = extra.importance.double()
        parts = torch.stack([m.sum(), m.square().sum(), m.new_full((), m.numel())])
        means.add(
            "importance/ess", share_of_sums(*self.ranks.sum(parts).unbind()).to(log_std.dtype)
        )
        behaviour = (rollout.mean[:, env_ids], log_std)
        learner = (extra.old_mean, extra.old_log_std)
        means.add("importance/kl", self.model.distribution.exact_kl(*behaviour, *learner))
        return extra

    @torch.no_grad()
    def _assemble(
        self, rollout: Rollout, extra: Optional[Relabelled], means: MetricMeans
    ) -> RawBatch:
        """Estimate the advantages of the agents' own data and append the relabelled sequences."""
        own = on_policy_batch(rollout, self.estimate(rollout, self.cfg))
        residual = self.ranks.variance(own.target - own.value)
        residual = residual / self.ranks.variance(own.target).clamp(min=1e-12)
        means.add("explained_variance", 1.0 - residual)
        means.add("return/mean", own.target)
        raw = own.append(extra)
        means.add("advantage/std", self.ranks.variance(raw.advantage).sqrt())
        return raw

    @torch.no_grad()
    def _prepare(self, raw: RawBatch, is_valid: Optional[Tensor]) -> PreparedBatch:
        """Standardise advantages and normalise values and returns; `is_valid` [T, N] or None."""
        target = raw.target
        if is_valid is not None:
            is_valid = is_valid[:, raw.env_ids]
            target = torch.where(is_valid, target, raw.value)  # Mask invalid steps out.
        advantage = self.ranks.standardize(raw.advantage, is_valid)
        normalizer, ranks = self.model.value_normalizer, self.ranks
        if self.is_minibatch_timing:
            normalizer.update(raw.value.unsqueeze(-1), ranks)
            value = self.model.normalize_value(raw.value)
            normalizer.update(target.unsqueeze(-1), ranks)
        else:
            normalizer.update(target.unsqueeze(-1), ranks)
            value = self.model.normalize_value(raw.value)
        return raw.prepared(value, self.model.normalize_value(target), advantage)

    def _count(self, means: MetricMeans, result: StepResult, is_off_policy: Tensor) -> None:
        terms, is_fine = result.terms, result.is_fine
        is_clipped = terms.is_clipped.to(terms.ratio.dtype)
        means.add("loss/surrogate", terms.surrogate, is_fine)
        means.add("loss/value", terms.value_loss, is_fine)
        means.add("loss/bounds", terms.bounds, is_fine)
        means.add("loss/total", result.loss, is_fine)
        means.add("entropy", terms.entropy, is_fine)
        means.add("grad_norm", result.grad_norm, is_fine)
        means.add("kl", result.kl, is_fine)
        means.add("kl/on_policy", terms.kl, _both(~is_off_policy, is_fine))
        means.add("clip_fraction/on_policy", is_clipped, _both(~is_off_policy, is_fine))
        if self._has_copies:
            means.add("kl/off_policy", terms.kl, _both(is_off_policy, is_fine))
            means.add("clip_fraction/off_policy", is_clipped, _both(is_off_policy, is_fine))

    def draw_order(self, num_sequences: int) -> Tensor:
        """Return the order [S] in which the sequences fill the minibatches of this update."""
        device = self.generator.device
        if not self.cfg.shuffle:
            return torch.arange(num_sequences, device=device)
        return torch.randperm(num_sequences, generator=self.generator, device=device)

    def draw_sources(self):
        """Return env_ids [S'] and learning agents [S'] of the off-policy data of all ranks."""
        block = self.deal.block
        return draw_sources(self.model.num_agents, block, self.aggregation, self.generator)

    def swap_agents(self, agent: int, other: int) -> None:
        """Let two agents exchange what is their own: gene, log std, and their moments."""
        own = (
            (self.model.log_std,)
            if self.model.gene is None
            else (self.model.gene, self.model.log_std)
        )
        for parameter in own:
            swap_rows(self.optimizer, parameter, agent, other)
            for hook in self.hooks:
                hook.on_rows_replaced(parameter, [agent, other])

    def reset_moments(self, parameter: nn.Parameter, rows: Sequence[int]) -> None:
        """Reset optimiser and hooks for rows of `parameter` that belong to new agents."""
        reset_moments(self.optimizer, parameter, rows)
        for hook in self.hooks:
            hook.on_rows_replaced(parameter, rows)

    def state_dict(self) -> Dict[str, Any]:
        """Optimiser, step size, random numbers and the state of the parts."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "learning_rate": self.learning_rate.clone(),
            "generator": self.generator.get_state(),
            "frames": self.frames,
            "clip": self.clip.state_dict(),
            "penalty": {} if self.penalty is None else self.penalty.state_dict(),
            "hooks": {hook.name: hook.state_dict() for hook in self.hooks},
            **({} if self.skipping is None else {"skipping": self.skipping.state_dict()}),
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken; new parts start from scratch.

        The model must be loaded first: new parts start from its weights.
        """
        self.optimizer.load_state_dict(state["optimizer"])
        self.learning_rate.copy_(state["learning_rate"])
        # Loading replaces the group's step size by a copy: tie it to ours again.
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        self.generator.set_state(state["generator"].cpu())
        self.frames = int(state["frames"])
        if self.skipping is not None and "skipping" in state:
            self.skipping.load_state_dict(state["skipping"])
        if state["clip"]:
            self.clip.load_state_dict(state["clip"])
        if self.penalty is not None and state["penalty"]:
            self.penalty.load_state_dict(state["penalty"])
        for hook in self.hooks:
            if hook.name in state["hooks"]:
                hook.load_state_dict(state["hooks"][hook.name])
            else:
                hook.begin_anew()


def _where(is_fine: Optional[Tensor], value: Tensor) -> Tensor:
    """Return `value`, and 0 for a minibatch that was left out."""
    return value if is_fine is None else torch.where(is_fine, value, 0.0)


def _both(mask: Tensor, is_fine: Optional[Tensor]) -> Tensor:
    return mask if is_fine is None else mask & is_fine
