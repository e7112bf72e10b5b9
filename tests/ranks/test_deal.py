"""Which environments and sequences belong to which rank."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from epo.ranks import ALONE, Deal

CPU = torch.device("cpu")


class Seat:
    """A rank by its number alone."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size


def deals(size: int, num_agents: int = 2, num_envs: int = 12) -> Any:
    seats: Any = [Seat(rank, size) for rank in range(size)]
    return [Deal(num_agents, num_envs // size, seat, CPU) for seat in seats]


def test_every_rank_has_a_slice_of_every_agents_block():
    # K = 2, N = 12: blocks of 6, slices of 2 on 3 ranks
    assert [deal.env_ids.tolist() for deal in deals(3)] == [
        [0, 1, 6, 7],
        [2, 3, 8, 9],
        [4, 5, 10, 11],
    ]


def test_rows_of_all_ranks_are_the_rows_of_all():
    drawn = torch.randn(12, 3)
    found = torch.zeros_like(drawn)
    for deal in deals(3):
        found[deal.env_ids] = deal.rows(drawn)
    assert torch.equal(found, drawn)


def test_one_process_keeps_everything():
    deal = Deal(2, 12, ALONE, CPU)
    order = torch.randperm(15)
    shares = deal.split(order, [(0, 8), (8, 15)], torch.tensor([3, 4, 5]))
    assert torch.equal(torch.cat([share.ids for share in shares]), order)
    assert [share.num for share in shares] == [8, 7]
    assert deal.keep(order)[0] is order
    assert list(deal.counts(order)) == list(range(16))


@pytest.mark.parametrize("size", [2, 3])
def test_minibatches_of_the_ranks_together_are_those_of_the_run(size: int):
    drawn = torch.tensor([7, 0, 7, 11, 3])  # environments of the sequences 12 to 16
    order = torch.randperm(17, generator=torch.Generator().manual_seed(1))
    spans = [(0, 9), (9, 17)]
    for number, (start, end) in enumerate(spans):
        found = []
        for deal in deals(size):
            (own,) = deal.keep(drawn)
            share = deal.split(order, spans, drawn)[number]
            assert share.num == end - start
            where = torch.cat([deal.env_ids, deal.env_ids[own]])  # environment of local sequences
            found += where[share.ids].tolist()
        expected = torch.cat([torch.arange(12), drawn])[order[start:end]]
        assert sorted(found) == sorted(expected.tolist())


def test_samples_of_the_ranks_together_are_those_of_the_run():
    steps, order = 3, torch.randperm(36, generator=torch.Generator().manual_seed(1))
    found = []
    for deal in deals(2):
        sample = torch.arange(36).view(steps, 12)[:, deal.env_ids].flatten()
        (ids, rest) = deal.split_samples(order, [(0, 20), (20, 36)])
        assert len(ids) + len(rest) == 18
        found += sample[ids].tolist()
    assert sorted(found) == sorted(order[:20].tolist())


def test_counts_tell_how_many_of_the_first_are_here():
    first, second = deals(2)  # 0 1 2 6 7 8 and 3 4 5 9 10 11
    env_ids = torch.tensor([0, 3, 8, 9, 1])
    assert list(first.counts(env_ids)) == [0, 1, 1, 2, 2, 3]
    assert list(second.counts(env_ids)) == [0, 0, 1, 1, 2, 2]
