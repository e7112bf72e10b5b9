from __future__ import annotations

import math

import pytest

from epo.population.pbt import Bookkeeping, Clock


def test_clock_notes_the_first_time_and_is_due_once_per_interval():
    clock = Clock(interval_frames=100)
    due = []
    for frames in (150, 190, 200, 250, 299, 300):
        due.append(clock.is_due(frames, True, patience=1))
        if due[-1]:
            clock.tick(frames)
    assert due == [False, False, True, False, False, True]
    assert clock.iteration == 3
    assert clock.frames_left(310) == 90


def test_clock_waits_one_interval_for_unknown_objectives():
    clock = Clock(interval_frames=100)
    waits = [clock.is_due(frames, False, patience=1) for frames in (50, 100, 199, 200)]
    assert waits == [False, False, False, True]
    assert clock.is_due(150, True, patience=1)


def test_clock_without_patience_limit_waits_for_ever():
    clock = Clock(interval_frames=100)
    assert not any(clock.is_due(frames, False, patience=None) for frames in (0, 100, 10_000))
    assert clock.is_due(10_000, True, patience=None)


def test_best_seen_ignores_what_is_unknown():
    books = Bookkeeping({})
    for objective in (math.nan, 1.0, 3.0, 2.0, math.nan):
        books.see(objective)
    assert books.best_seen == 3.0 and math.isnan(books.objective)


def test_books_of_other_mutable_settings_are_refused():
    saved = Bookkeeping({"ppo.gamma": 0.9}, changed_at=5).state_dict()
    books = Bookkeeping({"ppo.gamma": 0.99})
    books.load_state_dict(saved)
    assert (books.settings, books.changed_at) == ({"ppo.gamma": 0.9}, 5)
    with pytest.raises(ValueError, match=r"algo\.pbt\.mutable was ppo\.gamma"):
        Bookkeeping({"ppo.clip_eps": 0.1}).load_state_dict(saved)
