"""The average of a policy over its past: a slow copy of all parameters."""

from __future__ import annotations

from typing import Dict, Optional, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from epo.learner.batch import Sequences
from epo.models.actor_critic import ActorCritic, PolicyOutput
from epo.ranks import ALONE, Ranks


class PolicyAverage:
    """Exponential moving average of the parameters: average <- beta average + (1 - beta) theta.

    It acts with the model's own normalisers, so that it differs by its weights only.

    Args:
        model: whose parameters are averaged, from the present ones on.
        decay: beta, in [0, 1].
    """

    def __init__(self, model: ActorCritic, decay: float) -> None:
        self.model = model
        self.decay = decay
        self.parameters = {
            name: parameter.detach().clone() for name, parameter in model.named_parameters()
        }

    @torch.no_grad()
    def __call__(self, sequences: Sequences) -> PolicyOutput:
        """Evaluate the average policy."""
        return functional_call(self.model, self.parameters, tuple(sequences))

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the present parameters."""
        for name, parameter in self.model.named_parameters():
            self.parameters[name].lerp_(parameter, 1.0 - self.decay)

    @torch.no_grad()
    def distance(self) -> Tensor:
        """Return the Euclidean distance [] of the present parameters from their average."""
        squares = [
            (parameter - self.parameters[name]).square().sum()
            for name, parameter in self.model.named_parameters()
        ]
        return torch.stack(squares).sum().sqrt()

    @torch.no_grad()
    def reset_rows(self, parameter: nn.Parameter, rows: Sequence[int]) -> None:
        """Restart the average of `rows` of `parameter`: they belong to new agents."""
        for name, own in self.model.named_parameters():
            if own is parameter:
                index = torch.as_tensor(list(rows), dtype=torch.int64, device=own.device)
                self.parameters[name][index] = own[index]

    @torch.no_grad()
    def restart(self) -> None:
        """Start over from the present parameters."""
        for name, parameter in self.model.named_parameters():
            self.parameters[name].copy_(parameter)

    def state_dict(self) -> Dict[str, Tensor]:
        """Return the averaged parameters."""
        return {name: value.clone() for name, value in self.parameters.items()}

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Continue where `state_dict` was taken."""
        for name, value in state.items():
            self.parameters[name].copy_(value)


def novelty(
    model: ActorCritic,
    output: PolicyOutput,
    average: PolicyOutput,
    is_valid: Optional[Tensor],
    ranks: Ranks = ALONE,
) -> Tensor:
    """Return the mean KL(policy || average policy) [] over valid samples, nats, exact."""
    kl = model.distribution.exact_kl(output.mean, output.log_std, average.mean, average.log_std)
    return ranks.mean(kl, is_valid)
