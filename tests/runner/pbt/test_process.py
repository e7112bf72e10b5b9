"""Population based training in one process: what a comparison does to whom."""

from __future__ import annotations

import copy
import math
from typing import Dict, List

import pytest
import torch

from epo.config import ConfigError
from epo.record.recorder import Recorder
from epo.runner.guard import NonFiniteError
from epo.runner.pbt.member import choose_rules
from epo.runner.pbt.process import PBT
from epo.runner.trainer import Trainer
from tests.runner.pbt.runs import (
    OpenProbe,
    Rows,
    config,
    make_env,
    population,
    same,
    weights,
)

NO_MUTATION = "algo.pbt.mutation_rate=0"
TIMES = {"wall_s", "fps", "sim_s", "learn_s", "act_s"}


def iterate(pbt: PBT, num: int) -> PBT:
    for _ in range(num):
        pbt.iterate()
    return pbt


def rank_as(pbt: PBT, objective: List[float]) -> None:
    """Pretend that these are the members' objectives, and the highest since the last comparison."""
    for member, value in zip(pbt.members, objective):
        member.books.objective = member.books.best_seen = value


def trained(*overrides: str, env=None) -> PBT:
    """Train a population for two iterations that will be compared when the test says so."""
    gates = ("interval_frames=1000", "start_after_frames=0", "initial_delay_frames=0")
    return iterate(population(*(f"algo.pbt.{gate}" for gate in gates), *overrides, env=env), 2)


def compared(objective: List[float], *overrides: str, env=None) -> PBT:
    """Compare members of these objectives."""
    pbt = trained(*overrides, env=env)
    rank_as(pbt, objective)
    pbt.compare()
    return pbt


def test_one_member_equals_ppo_bit_for_bit():
    sinks = Rows(), Rows()
    pbt = iterate(population("num_agents=1", sink=sinks[0]), 6)
    cfg = config("algo.trainer=ppo", "num_agents=1", "algo.evolution.interval_frames=64")
    ppo = Trainer(cfg, make_env(cfg), Recorder([sinks[1]]))
    for _ in range(6):
        ppo.iterate()
    assert same(weights(pbt.members[0].model), weights(ppo.model))
    assert same(pbt.policy_state()["model"], ppo.policy_state()["model"])
    for ours, theirs in zip(sinks[0].metrics, sinks[1].metrics):
        names = (set(ours) & set(theirs)) - TIMES - {"generation"}
        differing = [n for n in names if ours[n] != theirs[n] and not math.isnan(theirs[n])]
        assert not differing and len(names) > 25


def test_members_differ_from_the_start_in_weights_and_settings():
    pbt = population("algo.pbt.mutation_rate=1", "algo.ppo.num_epochs=2")
    first = [member.model.mean_head.weight for member in pbt.members]
    assert not any(torch.equal(first[0], other) for other in first[1:])
    assert len({member.cfg.ppo.gamma for member in pbt.members}) == 4
    assert pbt.cfg.algo.ppo.gamma == 0.99  # the configuration of the run is left alone
    assert pbt.num_mutations == 4 * 7


def test_copy_takes_everything_but_frames_and_random_numbers():
    env = OpenProbe(16)
    pbt = trained(NO_MUTATION, env=env)
    draws = [member.learner.generator.get_state() for member in pbt.members]
    rank_as(pbt, [0.0, 10.0, 9.0, 8.0])
    pbt.compare()
    # Two of four are copied from, two may be changed; member 3 is not far enough behind.
    ((donor, _, objective),) = pbt.members[0].books.history
    assert (donor, objective) in ((1, 10.0), (2, 9.0))
    copied, given = pbt.members[0], pbt.members[donor]
    assert same(weights(copied.model), weights(given.model))
    ours, theirs = (m.learner.optimizer.state_dict()["state"] for m in (copied, given))
    assert all(same(ours[i], theirs[i]) for i in ours) and ours
    assert torch.equal(copied.learner.learning_rate, given.learner.learning_rate)
    assert torch.equal(copied.learner.generator.get_state(), draws[0])
    assert float(env.level[0]) == float(donor)
    assert copied.learner.frames == copied.books.changed_at == pbt.member_frames
    # What one learns afterwards is its own.
    before = copy.deepcopy(theirs)
    copied.learner.optimizer.state_dict()["state"][0]["exp_avg"].add_(1.0)
    assert all(same(before[i], theirs[i]) for i in before)


def lose(pbt: PBT, *indices: int) -> None:
    """Let the next update of these members come to nothing."""
    for p in indices:
        pbt.members[p].cfg.ppo.entropy_coef = math.nan  # no setting that is mutated


def test_member_that_is_no_longer_finite_becomes_a_copy_at_once():
    env, sink = OpenProbe(16), Rows()
    pbt = iterate(population("algo.pbt.interval_frames=1000", env=env, sink=sink), 2)
    lose(pbt, 0)  # the first: it would be the donor while no objective is known
    pbt.iterate()
    assert all(value.isfinite().all() for value in weights(pbt.members[0].model).values())
    row = sink.generations[-1]
    assert (row["replaced"], row["operator"]) == ("[0]", "copy, mutate") and row["donor"] != 0
    assert same(weights(pbt.members[0].model), weights(pbt.members[row["donor"]].model))
    assert env.restarted == [0] and pbt.members[0].books.changed_at == pbt.member_frames
    found = pbt.last_metrics
    assert [found[f"pbt/diverged/{p}"] for p in range(4)] == [1.0, 0.0, 0.0, 0.0]
    assert math.isfinite(found["loss/total"])  # the mean over the others
    pbt.members[0].cfg.ppo.entropy_coef = 0.0
    iterate(pbt, 2)
    assert pbt.last_metrics["pbt/diverged/0"] == 0.0
    assert not torch.equal(  # it learns on its own again
        pbt.members[0].model.mean_head.weight, pbt.members[row["donor"]].model.mean_head.weight
    )


def test_population_that_is_lost_altogether_stops():
    pbt = iterate(population(env=OpenProbe(16)), 1)
    lose(pbt, 0, 1, 2, 3)
    with pytest.raises(NonFiniteError, match="loss/total=nan"):
        pbt.iterate()


def test_best_members_are_never_changed():
    env = OpenProbe(16)
    pbt = trained("algo.pbt.mutation_rate=1", env=env)
    before = [(weights(m.model), dict(m.books.settings)) for m in pbt.members]
    rank_as(pbt, [0.0, 10.0, 9.0, 1.0])
    pbt.compare()
    for p in (1, 2):
        assert same(weights(pbt.members[p].model), before[p][0])
        assert pbt.members[p].books.settings == before[p][1]
    assert pbt.num_copies == 2 and env.restarted == [0, 3]


def test_lead_too_small_leaves_the_weights_and_mutates():
    env = OpenProbe(16)
    pbt = trained("algo.pbt.mutation_rate=1", env=env)
    before = [(weights(m.model), dict(m.books.settings)) for m in pbt.members]
    rank_as(pbt, [100.0, 100.0, 100.0, 99.0])
    pbt.compare()
    assert same(weights(pbt.members[3].model), before[3][0])
    assert pbt.members[3].books.settings != before[3][1]
    assert pbt.num_copies == 0 and pbt.members[3].books.history == ()
    assert env.restarted == [3]


def test_changed_member_begins_anew_and_others_go_on():
    env = OpenProbe(16)
    pbt = compared([0.0, 10.0, 9.0, 8.5], "algo.pbt.worst_fraction=0.25", env=env)
    known = pbt.tracker.known_counts().tolist()
    assert known == [0, 4, 4, 4]
    assert pbt.collector.state_dict()["is_first"][:4].all()
    assert pbt.env.state_dict()["elapsed"].tolist()[:4] == [0] * 4
    assert pbt.env.state_dict()["elapsed"][4:].all()
    observed = pbt.collector.state_dict()["observation"]
    assert torch.equal(observed, env._observe())
    assert pbt.tracker.state_dict()["length"][:4].tolist() == [0.0] * 4
    assert pbt.members[0].books.best_seen == -math.inf


def test_task_without_restarts_goes_on_with_an_empty_memory():
    pbt = compared(
        [0.0, 10.0, 9.0, 8.5],
        "algo.pbt.worst_fraction=0.25",
        "algo.network.kind=lstm",
        "algo.network.lstm_units=4",
    )
    state = pbt.collector.state_dict()
    assert state["is_first"][:4].all() and not state["memory"][:, :4].any()
    assert state["memory"][:, 4:].all()
    assert pbt.env.state_dict()["elapsed"].all()


def test_shielded_and_gated_members_are_left_alone():
    pbt = trained("algo.pbt.start_after_frames=20", "algo.pbt.mutation_rate=1")
    before = pbt.num_mutations
    rank_as(pbt, [0.0, 10.0, 9.0, 1.0])
    pbt.members[0].books.best_seen = 9.0
    pbt.members[3].books.changed_at = pbt.member_frames - 19
    pbt.compare()
    assert pbt.num_mutations == before and pbt.generation == 0


@pytest.mark.parametrize(("delay", "generations"), [(33, 0), (32, 1)])
def test_nobody_is_changed_before_the_initial_delay(delay, generations):
    pbt = compared([0.0, 10.0, 9.0, 1.0], f"algo.pbt.initial_delay_frames={delay}")
    assert pbt.member_frames == 32 and pbt.generation == generations


def test_comparisons_happen_once_per_interval_of_own_frames():
    sink = Rows()
    pbt = iterate(population("algo.pbt.mutation_rate=1", env=OpenProbe(16), sink=sink), 16)
    assert pbt.generation >= 2
    assert all(row["frames"] % (4 * 32) == 0 for row in sink.generations)
    # Whoever was changed is left alone for 64 of its frames.
    changes: Dict[str, List[int]] = {}
    for row in sink.generations:
        changes.setdefault(row["replaced"], []).append(row["frames"])
    gaps = [b - a for frames in changes.values() for a, b in zip(frames, frames[1:])]
    assert gaps and min(gaps) >= 4 * 64


def test_unknown_objectives_are_waited_for_one_interval():
    pbt = population(NO_MUTATION, "task.episode_length=1000")
    ticks = []
    for _ in range(8):
        pbt.iterate()
        ticks.append(pbt.clock.iteration)
    # 16 frames per iteration, no episode ends: compared at 64 and 128 instead of every 32.
    assert ticks == [0, 0, 0, 2, 2, 2, 2, 4]


def test_same_seed_gives_the_same_lineage_and_another_seed_another():
    lineages = []
    for seed in (1, 1, 2):
        sink = Rows()
        overrides = ("algo.pbt.mutation_rate=0.5", f"seed={seed}")
        iterate(population(*overrides, env=OpenProbe(16), sink=sink), 10)
        lineages.append(sink.generations)
    assert lineages[0] and lineages[0] == lineages[1] != lineages[2]


def test_resumed_run_equals_uninterrupted_run():
    stop, end = 7, 14
    mutate = "algo.pbt.mutation_rate=0.5"
    sinks = [Rows() for _ in range(3)]
    whole = iterate(population(mutate, env=OpenProbe(16), sink=sinks[0]), end)
    first = iterate(population(mutate, env=OpenProbe(16), sink=sinks[1]), stop)
    second = population(mutate, env=OpenProbe(16), sink=sinks[2])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    iterate(second, end - stop)
    assert sinks[0].generations == sinks[1].generations + sinks[2].generations
    assert sinks[1].generations and sinks[2].generations
    for ours, theirs in zip(whole.members, second.members):
        assert same(weights(ours.model), weights(theirs.model))
        assert ours.cfg == theirs.cfg and ours.books.settings == theirs.books.settings
    joined = [*sinks[1].metrics, *sinks[2].metrics]
    for row, other in zip(sinks[0].metrics, joined):
        assert {n: str(v) for n, v in row.items() if n not in TIMES} == {
            n: str(v) for n, v in other.items() if n not in TIMES
        }


def test_member_learns_from_its_own_reward_and_is_recorded_by_the_tasks():
    env = OpenProbe(16)
    pbt = population(NO_MUTATION, env=env)
    settings = {**pbt.members[1].books.settings, "reward.approach": 0.0, "reward.goal": 2.0}
    pbt.set_settings(1, {**settings, "reward.threshold_m": 0.7})
    assert env.reward_parameters["threshold_m"].tolist() == pytest.approx(
        [0.5] * 4 + [0.7] * 4 + [0.5] * 8
    )
    step = env.step(torch.zeros(16, 2))
    terms = torch.tensor([[0.5], [1.0]]).expand(2, 16)
    learned = pbt.collector.learning_reward(step._replace(reward=terms.sum(0), reward_terms=terms))
    # 0.5 + 1; with the other factors 0 * 0.5 + 2 * 1.
    assert learned.tolist() == [1.5] * 4 + [2.0] * 4 + [1.5] * 8
    one = iterate(population(NO_MUTATION, env=OpenProbe(16)), 2)
    other = population(NO_MUTATION, env=OpenProbe(16))
    other.set_settings(1, settings)
    rows = iterate(one, 1).last_metrics, iterate(other, 3).last_metrics
    # The first rollout was the same; weights of members 0, 2 and 3 are still.
    assert rows[0]["agent_fitness/00"] == rows[1]["agent_fitness/00"]
    assert same(weights(one.members[0].model), weights(other.members[0].model))
    assert not same(weights(one.members[1].model), weights(other.members[1].model))


def test_leader_is_the_best_known_member_and_its_policy_is_a_plain_one():
    sink = Rows()
    pbt = iterate(population(sink=sink), 6)
    row = sink.metrics[-1]
    objective = [row[f"pbt/objective/{p}"] for p in range(4)]
    assert row["leader/objective"] == max(objective) == row["pbt/best"]
    assert pbt.leader_id == objective.index(max(objective))
    cfg = config("algo.trainer=ppo", "num_agents=1")
    plain = Trainer(cfg, make_env(cfg), Recorder([]))
    plain.load_policy(pbt.policy_state())
    assert same(weights(plain.model), weights(pbt.members[pbt.leader_id].model))


def test_start_weights_go_to_every_member():
    cfg = config("algo.trainer=ppo", "num_agents=1")
    trained = Trainer(cfg, make_env(cfg), Recorder([]))
    pbt = population()
    pbt.load_policy(trained.policy_state())
    assert all(same(weights(m.model), weights(trained.model)) for m in pbt.members)


def test_settings_are_columns():
    sink = Rows()
    pbt = iterate(population("algo.pbt.mutation_rate=1", env=OpenProbe(16), sink=sink), 1)
    row = sink.metrics[0]
    for p, member in enumerate(pbt.members):
        assert row[f"pbt/hp/ppo.gamma/{p}"] == member.cfg.ppo.gamma
        assert row[f"pbt/hp/reward.goal/{p}"] == pytest.approx(
            float(pbt.collector.weights[1, 4 * p])
        )
    assert {"pbt/std_trimmed", "pbt/copies", "pbt/mutations", "pbt/weight_distance"} <= set(row)


def test_reward_names_of_the_task_are_asked_for():
    env = OpenProbe(4)
    assert set(choose_rules(["reward"], env)) == {
        "reward.approach",
        "reward.goal",
        "reward.threshold_m",
    }
    assert choose_rules(["reward.goal", "ppo.gamma"], env) == {
        "reward.goal": "factor",
        "ppo.gamma": "discount",
    }
    with pytest.raises(ConfigError, match=r"mutable=reward.gaol: .* choices: approach, goal, thr"):
        choose_rules(["reward.gaol"], env)
    cfg = config()
    with pytest.raises(ConfigError, match=r"mutable=reward.goal: .*ProbeReach has none"):
        choose_rules(["reward.goal"], make_env(cfg))
    assert choose_rules(["reward"], make_env(cfg)) == {}


def test_objective_must_be_a_metric_of_the_task():
    with pytest.raises(ConfigError, match=r"objective=speed: .* choose one of .*successes"):
        iterate(population("algo.pbt.objective=speed"), 1)
