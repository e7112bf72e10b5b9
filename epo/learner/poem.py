"""POEM: mutate the policy when it has stopped moving, keep the mutant if it lowers the loss."""

from __future__ import annotations

import math
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import torch
from torch import Tensor, nn

from epo.config import PoemCfg
from epo.learner.batch import Sequences
from epo.learner.hooks import UpdateHook
from epo.learner.metrics import MetricMeans
from epo.learner.objective import Evaluation, Objective, StepResult, Update
from epo.learner.policy_average import PolicyAverage, novelty
from epo.models.actor_critic import ActorCritic, PolicyOutput
from epo.ranks import Deal

_OF_ONE_AGENT = ("gene", "log_std")
_NOT_THE_POLICY = ("value_head.", "critic.", "log_std")
"""Beginnings of names."""


class Probe(NamedTuple):
    """The sequences on which policies are compared during one update, the same for all of them.

    Attributes:
        ids: [B] columns of the batch.
        sequences: the network's input.
    """

    ids: Tensor
    sequences: Sequences


class Judgement(NamedTuple):
    """One policy on the probe.

    Attributes:
        found: its objective.
        novelty: [] mean KL(policy || average policy), nats.
        loss: [] what a mutant is judged by.
    """

    found: Evaluation
    novelty: Tensor
    loss: Tensor


def severity(novelty: Tensor, cfg: PoemCfg) -> Tensor:
    """Return the noise sigma []: max_sigma at novelty 0, min_sigma at the threshold and above.

    A threshold of 0 triggers no mutation, so that none is larger than min_sigma.

    Source: POEM (arXiv 2601.14705), as its public digest and code with its name state it.
    """
    if cfg.kl_threshold == 0.0:
        return torch.full_like(novelty, cfg.min_sigma)
    # sigma = s_min + (s_max - s_min) (delta - D) / delta, clipped to [s_min, s_max];
    # D the novelty, delta the threshold   (POEM, mutation step)
    stagnation = (cfg.kl_threshold - novelty) / cfg.kl_threshold
    sigma = cfg.min_sigma + (cfg.max_sigma - cfg.min_sigma) * stagnation
    return sigma.clamp(cfg.min_sigma, cfg.max_sigma)


def mutable_parameters(model: ActorCritic, tensors: str) -> List[nn.Parameter]:
    """Return what is mutated of `policy` or `all`; never what belongs to one of several agents."""
    kept: Tuple[str, ...] = _NOT_THE_POLICY if tensors == "policy" else ()
    if model.num_agents > 1:
        kept += _OF_ONE_AGENT
    return [p for name, p in model.named_parameters() if not name.startswith(kept)]


class Poem(UpdateHook):
    """Evolutionary mutations as a hook on PPO's update.

    Everything stays on the device: a mutant is always made and measured, and `where` decides
    between it and its parent, which is thereby restored bit for bit.

    Args:
        cfg: trigger, noise, acceptance.
        objective: PPO's loss.
        optimizer: whose moments are forgotten if `reset_moments`.
        deal: of the environments.
        seed: of the probe and of the noise.

    Source: POEM (arXiv 2601.14705). Deviates: the exact KL on one probe for both policies and
        losses; the public code compared different random minibatches.
    """

    name = "poem"

    def __init__(
        self,
        cfg: PoemCfg,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        deal: Deal,
        seed: int,
    ) -> None:
        model = objective.model
        self.cfg = cfg
        self.objective = objective
        self.optimizer = optimizer
        self.model = model
        self.ranks = objective.ranks
        self.deal = deal
        self.generator = torch.Generator(model.log_std.device).manual_seed(seed)
        self.average = PolicyAverage(model, cfg.ema_decay)
        self.mutable = mutable_parameters(model, cfg.tensors)
        self.num_updates = 0
        self.num_accepted = torch.zeros((), dtype=torch.int64, device=model.log_std.device)
        self._means = MetricMeans(math.nan)
        self._metrics: Dict[str, Tensor] = {}

    def on_update_start(self, update: Update) -> None:
        """Draw the probe: the same number of whole sequences of every agent."""
        self._means = MetricMeans(math.nan)
        self._accepted_before = self.num_accepted
        num_agents, horizon = self.model.num_agents, update.rollout.horizon
        states = self.cfg.probe_states or self._minibatch_states(update)
        block = self.deal.block
        per_agent = min(block, max(1, states // (horizon * num_agents)))
        device = self.generator.device
        chosen = torch.randperm(block, generator=self.generator, device=device)[:per_agent]
        first = torch.arange(num_agents, device=device) * block
        (ids,) = self.deal.keep((first[:, None] + chosen).flatten())
        self._probe = Probe(ids, update.sequences(ids))

    def _minibatch_states(self, update: Update) -> int:
        ppo = self.objective.ppo
        return ppo.minibatch_size or (
            update.num_sequences // ppo.num_minibatches * update.rollout.horizon
        )

    def add_to_loss(self, update: Update, found: Evaluation, loss: Tensor) -> Tensor:
        """Subtract the novelty of the minibatch's policies from the loss, if asked for."""
        if not self.cfg.diversity_gradient:
            return loss
        average = self.average(found.samples.sequences)
        own = novelty(self.model, found.output, average, found.samples.is_valid, self.ranks)
        return loss - self.cfg.diversity_coef * own

    def on_minibatch_end(self, update: Update, result: StepResult) -> None:
        """Check the policy if `when` is `minibatch`."""
        if self.cfg.when == "minibatch":
            self._check(update)

    def on_update_end(self, update: Update) -> None:
        """Check the policy if `when` is `update`."""
        if self.cfg.when == "update":
            self._check(update)
        self.num_updates += 1
        self._metrics = {f"poem/{name}": value for name, value in self._means.read().items()}
        self._metrics["poem/accepted"] = self.num_accepted - self._accepted_before
        self._metrics["poem/accepted_total"] = self.num_accepted
        self._metrics["poem/param_dist_ema"] = self.average.distance()

    @torch.no_grad()
    def _check(self, update: Update) -> None:
        """Mutate, evaluate, then keep or restore; finally move the average."""
        if self.num_updates >= self.cfg.warmup_updates:
            self._mutate(update)
        self.average.update()

    def _mutate(self, update: Update) -> None:
        cfg = self.cfg
        average = self.average(self._probe.sequences)
        parent = self._judge(update, average)
        sigma = severity(parent.novelty, cfg)
        kept = [parameter.clone() for parameter in self.mutable]
        # theta' = theta + sigma eps,  eps ~ N(0, I), scaled by the RMS of each tensor if relative
        for parameter in self.mutable:
            parameter.add_(self._noise(parameter) * sigma.to(parameter.dtype))
        mutant = self._judge(update, average)
        # A divergence of 0 may come out as -1e-9, which no threshold of 0 may take for less.
        is_triggered = parent.novelty.clamp(min=0.0) < cfg.kl_threshold
        # theta <- theta' if D < delta and L(theta') < L(theta), else theta   (POEM, acceptance)
        is_accepted = is_triggered & self._is_better(mutant, parent)
        for parameter, before in zip(self.mutable, kept):
            parameter.copy_(torch.where(is_accepted, parameter, before))
        if cfg.reset_moments:
            self._forget_moments(is_accepted)
        self.num_accepted = self.num_accepted + is_accepted
        self._count(parent, mutant, sigma, is_triggered, is_accepted)

    def _judge(self, update: Update, average: PolicyOutput) -> Judgement:
        found = self.objective.evaluate(update, self._probe.ids)
        own = novelty(self.model, found.output, average, found.samples.is_valid, self.ranks)
        counts = self.cfg.diversity_acceptance
        # L = L_PPO - lambda_div KL(pi || average policy); the second term only if it counts
        loss = found.loss - self.cfg.diversity_coef * own if counts else found.loss
        return Judgement(found, own, loss)

    def _is_better(self, mutant: Judgement, parent: Judgement) -> Tensor:
        is_better = mutant.loss.isfinite()
        if self.cfg.acceptance == "never":
            return torch.zeros_like(is_better)
        if self.cfg.acceptance == "always":
            return is_better
        if self.cfg.max_kl is not None:
            is_better = is_better & (mutant.found.kl_old <= self.cfg.max_kl)
        return is_better & (mutant.loss < parent.loss)

    def _noise(self, parameter: nn.Parameter) -> Tensor:
        noise = torch.randn(
            parameter.shape,
            generator=self.generator,
            device=parameter.device,
            dtype=parameter.dtype,
        )
        if self.cfg.noise == "absolute":
            return noise
        return noise * parameter.square().mean().sqrt()

    def _forget_moments(self, is_accepted: Tensor) -> None:
        for parameter in self.mutable:
            for name in ("exp_avg", "exp_avg_sq"):
                moment = self.optimizer.state[parameter][name]
                moment.copy_(torch.where(is_accepted, 0.0, moment))

    def _count(
        self,
        parent: Judgement,
        mutant: Judgement,
        sigma: Tensor,
        is_triggered: Tensor,
        is_accepted: Tensor,
    ) -> None:
        means, is_valid = self._means, parent.found.samples.is_valid
        means.add("D", parent.novelty)
        means.add("sigma", sigma, is_triggered)
        means.add("trigger_rate", is_triggered.float())
        means.add("accept_rate", is_accepted.float(), is_triggered)
        means.add("L0", parent.loss)
        means.add("L1", mutant.loss, is_triggered)
        means.add("dL", mutant.loss - parent.loss, is_triggered)
        step = novelty(self.model, parent.found.output, mutant.found.output, is_valid, self.ranks)
        means.add("kl_mutation", step, is_triggered)

    def on_rows_replaced(self, parameter: nn.Parameter, rows: Sequence[int]) -> None:
        """Restart the average of new agents from their present parameters."""
        self.average.reset_rows(parameter, rows)

    def metrics(self) -> Dict[str, Tensor]:
        """Means over the checks of the update; NaN where nothing was triggered."""
        return self._metrics

    def state_dict(self) -> Dict[str, Any]:
        """Average policy, random numbers and counts."""
        return {
            "average": self.average.state_dict(),
            "generator": self.generator.get_state(),
            "num_updates": self.num_updates,
            "num_accepted": self.num_accepted.clone(),
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.average.load_state_dict(state["average"])
        self.generator.set_state(state["generator"].cpu())
        self.num_updates = int(state["num_updates"])
        self.num_accepted.copy_(state["num_accepted"])

    def begin_anew(self) -> None:
        """Start the average from the present weights."""
        self.average.restart()
