"""The health of an update: signals from what the update computes anyway, on the device.

On several ranks counts, sums and peaks are of all samples; quantiles, deviations of single agents
and effective shares are of every rank's own samples, and what is recorded is their mean.
Nothing here changes the training or draws random numbers. What the signals are good for:
`docs/algorithms/diagnostics.md`.
"""

from __future__ import annotations

import math
from typing import Any, Dict, List, Optional, Sequence

import torch
from torch import Tensor, nn

from epo.config import AlgoCfg
from epo.learner.dual_signal import EntropyScale
from epo.learner.hooks import UpdateHook
from epo.learner.metrics import MetricMeans
from epo.learner.objective import Objective, StepResult, Update
from epo.learner.policy_average import PolicyAverage, novelty
from epo.learner.signals import (
    NUM_SUMS,
    advantage_signals,
    block_std,
    effective_share,
    explained_variance,
    norm,
    penalty_share,
    quantile,
    sample_means,
    sample_sums,
    smallest,
    subsample,
)

HEADS = {
    "grad_norm_policy_head": ("mean_head.", "log_std"),
    "grad_norm_value_head": ("value_head.", "critic."),
}
LAST_EPOCH = ("kill", "kill_pos", "kill_neg", "kl_exact")
"""Signals of the last epoch that are kept apart, as `..._last`."""
FLOOR_STD = 0.05
"""Standard deviation at which the normalised entropy is 0, action units."""


class Diagnostics(UpdateHook):
    """Measure the columns `health/...`; sample statistics use on-policy data only.

    Args:
        cfg: diagnostics, bound of the gradient, first log std.
        objective: PPO's loss, for its penalty and its model.
    """

    name = "diagnostics"

    def __init__(self, cfg: AlgoCfg, objective: Objective) -> None:
        self.cfg = cfg.diagnostics
        self.ppo = cfg.ppo
        self.max_importance = cfg.aggregation.max_importance
        self.objective = objective
        self.model = model = objective.model
        self.ranks = objective.ranks
        self.average = PolicyAverage(model, self.cfg.ema_decay)
        self.scale = EntropyScale(
            model.distribution, model.policy_dim, cfg.network.initial_log_std, FLOOR_STD
        )
        self.initial_log_std = cfg.network.initial_log_std
        self.heads = {
            name: [p for key, p in model.named_parameters() if key.startswith(prefixes)]
            for name, prefixes in HEADS.items()
        }
        self._grads = MetricMeans(math.nan)
        self._sums: List[Tensor] = []
        self._nothing = torch.zeros(NUM_SUMS, dtype=torch.float64, device=model.log_std.device)
        self._epochs: List[Tensor] = []
        self._peaks: List[Tensor] = []
        self._before: List[Tensor] = []
        self._ratio = self._grad_norm = torch.empty(0)
        self._metrics: Dict[str, Tensor] = {}

    def on_update_start(self, update: Update) -> None:
        """Measure what is known before the first step."""
        self._grads = MetricMeans(math.nan)
        self._epochs, self._sums, self._peaks = [], [], []
        self._before = [parameter.detach().clone() for parameter in self.model.parameters()]
        self._metrics = {
            **self._data(update),
            **self._policy(update),
            **self._sources(update),
            "return": update.standing.episode_return,
        }

    @torch.no_grad()
    def on_minibatch_end(self, update: Update, result: StepResult) -> None:
        """Add up the samples of one optimiser step."""
        self._grad_norm = result.grad_norm
        is_clipped = result.grad_norm > self.ppo.max_grad_norm
        self._grads.add("grad_clipped", is_clipped.to(result.grad_norm.dtype))
        if not len(result.ids):  # all sequences of this minibatch are on other ranks
            return
        mask, terms = self._own(update, result.ids), result.terms
        advantage = update.batch.advantage[:, result.ids]
        self._sums.append(sample_sums(terms, advantage, *update.clip, mask))
        log_ratio = terms.log_ratio
        self._ratio = terms.ratio
        if mask is not None:
            log_ratio = torch.where(mask, log_ratio, 0.0)
            self._ratio = torch.where(mask, terms.ratio, torch.nan)
        highest, lowest = log_ratio.amax(), log_ratio.amin()
        self._peaks.append(torch.stack([highest, -lowest, result.grad_norm]))

    def _own(self, update: Update, ids: Tensor) -> Optional[Tensor]:
        """Return which samples [T, B] are on-policy experience; None: all are."""
        is_valid = update.is_valid(ids)
        if update.extra is None:
            return is_valid
        own = (~update.batch.is_off_policy[ids]).expand(update.rollout.horizon, -1)
        return own if is_valid is None else own & is_valid

    @torch.no_grad()
    def on_epoch_end(self, update: Update) -> None:
        """Finish the sums of the epoch; measure the gradients of its last minibatch."""
        self._epochs.append(torch.stack(self._sums).sum(0) if self._sums else self._nothing)
        self._sums = []
        # They are clipped by now: undo it.
        factor = (self.ppo.max_grad_norm / (self._grad_norm + 1e-6)).clamp(max=1.0)
        for name, parameters in self.heads.items():
            gradients = [p.grad for p in parameters if p.grad is not None]
            self._grads.add(name, norm(gradients) / factor)

    @torch.no_grad()
    def on_update_end(self, update: Update) -> None:
        """Combine the signals and move the average policy."""
        epochs = self.ranks.sum(torch.stack(self._epochs))
        metrics, last = self._metrics, sample_means(epochs[-1])
        means = sample_means(epochs.sum(0))
        gain = means.pop("gain")
        penalty = self.objective.penalty
        if penalty is not None:
            metrics["penalty_share"] = penalty_share(means["kl_exact"], penalty.coef, gain)
        metrics.update(means)
        metrics.update({f"{name}_last": last[name] for name in LAST_EPOCH})
        metrics.update(self._grads.read())
        peaks = self.ranks.max(torch.stack(self._peaks).amax(0))
        highest, lowest, metrics["grad_norm_max"] = peaks.unbind()
        metrics["ratio_max"] = highest.exp()
        metrics["log_ratio_max"] = torch.maximum(highest, lowest)
        ratio = subsample(self._ratio, self.cfg.quantile_samples)
        metrics["ratio_p1"], metrics["ratio_p99"] = quantile(ratio, 0.01), quantile(ratio, 0.99)
        metrics.update(self._kl_after(update))
        metrics["update_size"] = self._update_size()
        self.average.update()

    def _update_size(self) -> Tensor:
        """Return the norm [] of the parameters' change over the norm of the parameters."""
        parameters = list(self.model.parameters())
        step = [now - before for now, before in zip(parameters, self._before)]
        size = norm(step) / norm(self._before)
        self._before = []
        return size

    def _kl_after(self, update: Update) -> Dict[str, Tensor]:
        """Divergence of the policy after the last step, on first steps of evenly spaced envs.

        `kl_ema` from the average policy, `kl_outer` of the policy before the update from it.
        """
        num_envs = update.rollout.num_envs
        num = min(num_envs, self.cfg.probe_states)
        steps = self.cfg.probe_states // num
        ids = torch.arange(num, device=update.batch.agent.device) * num_envs // num
        sequences, is_valid = update.sequences(ids).first(steps), update.is_valid(ids)
        is_valid = None if is_valid is None else is_valid[:steps]
        output, average = self.model(*sequences), self.average(sequences)
        outer = self.model.distribution.exact_kl(
            update.batch.old_mean[:steps, ids],
            update.batch.old_log_std[ids],
            output.mean,
            output.log_std,
        )
        return {
            "kl_ema": novelty(self.model, output, average, is_valid, self.ranks),
            "kl_outer": self.ranks.mean(outer, is_valid),
        }

    def _data(self, update: Update) -> Dict[str, Tensor]:
        """Advantages and values of the on-policy data, before standardisation."""
        num_envs, is_valid = update.rollout.num_envs, update.rollout.is_valid
        advantage, value = update.raw_advantage[:, :num_envs], update.rollout.value[:-1]
        signals = advantage_signals(advantage, is_valid)
        signals["expl_var"] = explained_variance(advantage + value, value, is_valid)
        if self.model.num_agents > 1:
            std = block_std(advantage, self.model.num_agents, is_valid)
            signals["advantage_std_agent_min"] = std.amin()
            signals["advantage_std_agent_max"] = std.amax()
        return signals

    def _policy(self, update: Update) -> Dict[str, Tensor]:
        """Entropy and width of the leader's policy, relative to the initial one."""
        entropy, dim = update.standing.entropy, self.model.policy_dim
        log_std = update.rollout.log_std[-1]
        signals = {
            "entropy_n": self.scale(entropy),
            "entropy_gain": (entropy - self.scale.high) / dim,
        }
        if log_std.numel():
            signals["std_rel"] = (log_std - self.initial_log_std).exp().mean()
        return signals

    def _sources(self, update: Update) -> Dict[str, Tensor]:
        """Effective share of the relabelled samples of the worst source, raw and truncated."""
        if update.extra is None:
            return {}
        source = update.rollout.agent[update.extra.env_ids]
        weight, num_agents = update.extra.importance, self.model.num_agents
        bounded = weight.clamp(max=self.max_importance)
        return {
            "ess": smallest(effective_share(weight, source, num_agents)),
            "ess_truncated": smallest(effective_share(bounded, source, num_agents)),
        }

    def on_rows_replaced(self, parameter: nn.Parameter, rows: Sequence[int]) -> None:
        """Restart the average of new agents from their present parameters."""
        self.average.reset_rows(parameter, rows)

    def metrics(self) -> Dict[str, Tensor]:
        """Return all signals of the last update."""
        return {f"health/{name}": value for name, value in self._metrics.items()}

    def state_dict(self) -> Dict[str, Any]:
        """The average policy."""
        return {"average": self.average.state_dict()}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.average.load_state_dict(state["average"])

    def begin_anew(self) -> None:
        """Start the average from the present weights."""
        self.average.restart()
