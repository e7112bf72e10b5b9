"""A way of training: the cross-entropy method on linear policies, one candidate per agent.

python train.py plugins=[trainer] algo=ppo algo.trainer=cem num_agents=32 num_envs=512
"""

from dataclasses import dataclass

import torch

from epo.components import Training, trainers
from epo.runner.loop import Loop
from epo.runner.snapshot import Numbers


@dataclass
class CemCfg:
    """Settings, here `algo.own.cem.num_elites`."""

    num_elites: int = 8  # candidates that the next ones are drawn around


class CemLoop(Loop):
    """Clock, limits, records and checkpoints are `Loop`'s; this says what an iteration is."""

    def __init__(self, cfg, env, recorder):
        super().__init__(cfg, env, recorder)
        self.generator = torch.Generator(env.device).manual_seed(cfg.seed)
        self.mean = torch.zeros(env.spec.observation_dim, env.spec.action_dim, device=env.device)
        self.std = torch.ones_like(self.mean)
        self.observation = env.reset()

    @property
    def frames_per_iteration(self):
        return self.env.spec.num_envs * self.cfg.algo.ppo.horizon

    def advance(self):
        """Try the candidates [K, O, A], then move to the best; return columns of metrics.csv."""
        shape, device = (self.cfg.num_agents, *self.mean.shape), self.env.device
        noise = torch.randn(shape, generator=self.generator, device=device)
        noise[-1] = 0.0  # the leader is the mean itself
        weight, total = self.mean + self.std * noise, torch.zeros(shape[0], device=device)
        for _ in range(self.cfg.algo.ppo.horizon):
            rows = self.observation.unflatten(0, (shape[0], -1))  # [N, O] -> [K, E, O]
            step = self.env.step((rows @ weight).tanh().flatten(0, 1))
            self.tracker.update(step)
            self.observation = step.observation
            total = total + step.reward.unflatten(0, (shape[0], -1)).mean(dim=1)
        elites = weight[total.topk(self.cfg.algo.own["cem"].num_elites).indices]
        self.mean, self.std = elites.mean(dim=0), elites.std(dim=0) + 1e-3
        return Numbers({"cem/return": total.mean(), "cem/std": self.std.mean()}, step.scalars)

    def policy_state(self):
        return {"cem": {"mean": self.mean.clone(), "std": self.std.clone()}}

    def load_policy(self, state):
        self.mean, self.std = (state["cem"][name].to(self.mean) for name in ("mean", "std"))

    def state_dict(self):
        own = {"observation": self.observation.clone(), "random": self.generator.get_state()}
        return {**super().state_dict(), **own}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.observation = state["observation"].to(self.env.device)
        self.generator.set_state(state["random"].cpu())


class CemPolicy:
    """How `play`, `eval` and `epo.load` act."""

    def __init__(self, algo, state, path, env):
        self.mean = state["cem"]["mean"].to(env.device)

    def act(self, observation, is_first):
        return (observation @ self.mean).tanh()


how = Training(CemLoop, policy=CemPolicy, has_population=True, saves_one=True)
trainers.register("cem", how, settings=CemCfg)
