"""Batched environments of others behind the `VecEnv` contract, whatever their API."""

from __future__ import annotations

import logging
from typing import Any, Dict, Optional

import torch
from torch import Tensor

from epo.envs import EnvError, EnvSpec, Step
from tasks.errors import describe
from tasks.vector.config import VectorCfg
from tasks.vector.dialect import Dialect, Moment
from tasks.vector.loading import version_of

_LOG = logging.getLogger(__name__)


class BatchedEnv:
    """N environments that step at once, on their own device.

    Where an episode is both terminated and truncated, terminated counts. Metrics: `fitness` is the
    return of the episode, `success` is 1 if it was successful in any step, where the environments
    tell. What they log appears as scalars `log/<name>`, with the value that they told last.

    Episodes cannot be saved. After `load_state_dict` new ones begin; the first step, whose action
    was chosen for the lost ones, is not valid (`Step.valid`). Nor is a step that only begins an
    episode, as in Gymnasium's next-step mode.

    Args:
        dialect: how they are spoken to.
        cfg: settings.
    """

    def __init__(self, dialect: Dialect, cfg: VectorCfg) -> None:
        self.dialect = dialect
        self.device = dialect.device
        package = type(getattr(dialect.env, "unwrapped", dialect.env)).__module__.partition(".")[0]
        version = version_of(package)
        # One step, to see what the environments tell; the reset that follows takes it back.
        idle = torch.zeros(dialect.num_envs, dialect.actions.dim, device=self.device)
        self._has_success = dialect.step(dialect.actions.to_env(idle)).success is not None
        success = "success" if self._has_success else ""
        self.spec = EnvSpec(
            name=dialect.name,
            engine=package,
            num_envs=dialect.num_envs,
            observation_dim=dialect.observation_dim,
            action_dim=dialect.actions.dim,
            control_dt_s=dialect.control_dt_s,
            versions={package: version} if version else {},
            choices=dialect.actions.choices,
            image_shape=dialect.image_shape,
            has_invalid_steps=True,
            metrics=("fitness", success) if success else ("fitness",),
            success=success,
            headline=(success,) if success else (),
            state_parts=dialect.state_parts,
        )
        self._return = torch.zeros(dialect.num_envs, device=self.device)
        self._succeeded = torch.zeros(dialect.num_envs, dtype=torch.bool, device=self.device)
        self._log: Dict[str, Tensor] = {}
        self._rows = torch.zeros(0)
        self._is_resumed = False

    def reset(self) -> Tensor:
        """Begin a new episode everywhere and return the observation [N, O]."""
        self._is_resumed = False
        self._return.zero_()
        self._succeeded.zero_()
        self._rows = self._call(self.dialect.reset)
        return self._seen(self._rows)

    def present_state(self) -> Tensor:
        """Return what the critic sees beside the last observation, [N, S]."""
        return self._rows[:, self.spec.observation_dim :]

    def _seen(self, rows: Tensor) -> Tensor:
        """Return what the policy sees, [N, O]."""
        return rows[:, : self.spec.observation_dim] if self.spec.state_dim else rows

    def _state(self, rows: Tensor) -> Optional[Tensor]:
        """Return the critic's state [N, S]; None: there is none."""
        return rows[:, self.spec.observation_dim :] if self.spec.state_dim else None

    def step(self, action: Tensor) -> Step:
        """Apply `action` [N, A] for one control step.

        Raises:
            EnvError: naming what failed.
        """
        if self._is_resumed:
            self._is_resumed = False
            return self._skipped()
        native = self.dialect.actions.to_env(action)
        moment = self._call(lambda: self.dialect.step(native))
        reward, ignored = moment.reward, moment.ignored
        if ignored is not None:
            reward = reward.masked_fill(ignored, 0.0)
        self._return = self._return + reward
        if moment.success is not None:
            now = moment.success if ignored is None else moment.success & ~ignored
            self._succeeded = self._succeeded | now
        self._note(moment)
        done = moment.terminated | moment.truncated
        step = Step(
            observation=self._seen(moment.observation),
            reward=reward,
            terminated=moment.terminated,
            truncated=moment.truncated & ~moment.terminated,
            final_observation=self._seen(moment.final_observation),
            metrics=self._metrics(),
            scalars=dict(self._log),
            valid=torch.ones_like(done) if ignored is None else ~ignored,
            state=self._state(moment.observation),
            final_state=self._state(moment.final_observation),
        )
        self._return = self._return.masked_fill(done, 0.0)
        self._succeeded = self._succeeded & ~done
        self._rows = moment.observation
        return step

    def state_dict(self) -> Dict[str, Any]:
        """Return what can be saved: not the episodes."""
        return self.dialect.state_dict()

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Begin new episodes with what could be saved."""
        kept = ", ".join(state) or "nothing"
        _LOG.warning(
            "%s: episodes and random numbers cannot be saved; new ones begin (saved: %s)",
            self.spec.name,
            kept,
        )
        self.dialect.load_state_dict(state)
        self.reset()
        self._is_resumed = True

    def close(self) -> None:
        """Close the environments."""
        close = getattr(self.dialect.env, "close", None)
        if close is not None:
            close()

    def _metrics(self) -> Dict[str, Tensor]:
        metrics = {"fitness": self._return}
        if self._has_success:
            metrics["success"] = self._succeeded.float()
        return metrics

    def _note(self, moment: Moment) -> None:
        """Keep the numbers that the environments log, which they do in some steps only."""
        for name, value in moment.log.items():
            if isinstance(value, Tensor):
                number = value.detach().float().mean().to(self.device)
            elif isinstance(value, (int, float)):
                number = torch.tensor(float(value), device=self.device)
            else:
                continue
            self._log[f"log/{name}"] = number

    def _skipped(self) -> Step:
        """Return a step in which nothing happened: its action was chosen for lost episodes."""
        nobody = torch.zeros(self.spec.num_envs, dtype=torch.bool, device=self.device)
        return Step(
            observation=self._seen(self._rows),
            reward=torch.zeros_like(self._return),
            terminated=nobody,
            truncated=nobody,
            final_observation=self._seen(self._rows),
            metrics=self._metrics(),
            scalars=dict(self._log),
            valid=nobody,
            state=self._state(self._rows),
            final_state=self._state(self._rows),
        )

    def _call(self, function: Any) -> Any:
        """Call into foreign code; what it raises ends the run in one line.

        Raises:
            EnvError: naming it.
        """
        try:
            return function()
        except EnvError:
            raise
        except Exception as error:
            raise EnvError(f"{self.spec.name}: {describe(error)}") from error
