"""n-step transitions: the last few steps of every environment, cut where an episode ends."""

from __future__ import annotations

from collections import deque
from typing import Any, Deque, Dict, NamedTuple, Optional, Sequence

import torch
from torch import Tensor

from epo.envs import Step


class OneStep(NamedTuple):
    """One control step of N environments.

    Attributes:
        observation: [N, O] raw observation that was acted on.
        action: [N, A].
        reward: [N] scaled.
        terminated: [N] bool.
        done: [N] bool, terminated or truncated.
        valid: [N] bool, the step is experience (`Step.valid`).
        next_observation: [N, O] raw observation after the action, the final one of its episode.
    """

    observation: Tensor
    action: Tensor
    reward: Tensor
    terminated: Tensor
    done: Tensor
    valid: Tensor
    next_observation: Tensor


class Transition(NamedTuple):
    """What the critic learns from: Q(s, a) should be R + b Q(s', a').

    Attributes:
        observation: [N, O] raw, s.
        action: [N, A], a.
        reward_sum: [N] discounted sum of scaled rewards, R.
        bootstrap: [N] b, discount up to s'; 0 where the episode terminated before.
        next_observation: [N, O] raw, s'.
        is_kept: [N] bool, False where there is nothing to learn from.
    """

    observation: Tensor
    action: Tensor
    reward_sum: Tensor
    bootstrap: Tensor
    next_observation: Tensor
    is_kept: Tensor


def one_step(observation: Tensor, action: Tensor, step: Step, reward_scale: float) -> OneStep:
    """Copy a control step out of the environment's own tensors."""
    done = step.terminated | step.truncated
    after = torch.where(done.unsqueeze(-1), step.final_observation, step.observation)
    return OneStep(
        observation=observation,
        action=action,
        reward=step.reward * reward_scale,
        terminated=step.terminated.clone(),
        done=done,
        valid=torch.ones_like(done) if step.valid is None else step.valid.clone(),
        next_observation=after,
    )


def n_step_transition(steps: Sequence[OneStep], gamma: float) -> Transition:
    """Return the transition that begins with the first of n successive steps.

    The window ends at the first end of an episode in it, whether terminated or truncated, and
    before the first step that is not experience: it never reaches into another episode.

    Args:
        steps: n steps, oldest first.
        gamma: discount per control step.

    Source: PQL (arXiv 2307.12983). Deviates from its repository: there time limits end no window,
        the discount is gamma^n for every window, and rewards are always discounted by 0.99.
    """
    first = steps[0]
    is_open = torch.ones_like(first.done)
    reward_sum = torch.zeros_like(first.reward)
    bootstrap, after = torch.zeros_like(first.reward), first.next_observation
    for i, step in enumerate(steps):
        is_inside = is_open & step.valid
        # R = sum_{i=0..j} gamma^i r_i
        reward_sum = torch.where(is_inside, reward_sum + gamma**i * step.reward, reward_sum)
        # b = gamma^(j + 1) (1 - terminated), j the last step inside.
        bootstrap = torch.where(is_inside, gamma ** (i + 1) * (~step.terminated), bootstrap)
        after = torch.where(is_inside.unsqueeze(-1), step.next_observation, after)
        is_open = is_inside & ~step.done
    return Transition(first.observation, first.action, reward_sum, bootstrap, after, first.valid)


class NStepWindow:
    """The last n steps of N environments.

    Args:
        n_step: n.
        gamma: discount per control step.
    """

    def __init__(self, n_step: int, gamma: float) -> None:
        self.n_step = n_step
        self.gamma = gamma
        self._steps: Deque[OneStep] = deque(maxlen=n_step)

    def push(self, step: OneStep) -> Optional[Transition]:
        """Add a step; give what begins n - 1 steps before it, None until there are n."""
        self._steps.append(step)
        if len(self._steps) < self.n_step:
            return None
        return n_step_transition(list(self._steps), self.gamma)

    def state_dict(self) -> Dict[str, Any]:
        """Return the steps, oldest first."""
        return {"steps": [tuple(step) for step in self._steps]}

    def load_state_dict(self, state: Dict[str, Any], device: torch.device) -> None:
        """Continue where `state_dict` was taken."""
        self._steps.clear()
        for fields in state["steps"]:
            self._steps.append(OneStep(*(field.to(device, copy=True) for field in fields)))
