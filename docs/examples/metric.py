"""A metric: a column of metrics.csv, TensorBoard and W&B, of any way of training.

python train.py plugins=[metric] record.metrics=[effort,spread]
"""

from epo.components import metrics


@metrics.register("effort")
def effort(loop):
    """Return name -> [] tensor; it stays on the device, all numbers move to the host at once."""
    action = loop.collector.rollout.action.clamp(-1.0, 1.0)  # [T, N, A]
    return {"effort": action.square().sum(dim=-1).mean()}


@metrics.register("spread")
def spread(loop):
    """Return how much the agents' mean actions differ, NaN (no value) of a single agent."""
    rollout = loop.collector.rollout
    num_agents = loop.model.num_agents
    per_agent = rollout.mean.unflatten(1, (num_agents, -1)).mean(dim=(0, 2))  # [K, D]
    return {"spread": per_agent.std(dim=0).mean()}
