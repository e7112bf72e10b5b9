from __future__ import annotations

from collections import OrderedDict

import torch

from epo.runner.state_copy import StateCopy


def test_copy_keeps_its_values_while_the_state_goes_on():
    weight, counts = torch.zeros(3), [1, 2]
    state = {"model": OrderedDict(weight=weight), "counts": counts, "pair": (weight[:2], None)}
    copy = StateCopy()
    assert copy.read() is None
    copy.take(state)
    weight += 5.0
    counts.append(3)
    kept = copy.read()
    assert kept is not None
    assert kept["model"]["weight"].tolist() == [0.0, 0.0, 0.0]
    assert isinstance(kept["model"], OrderedDict)
    assert kept["counts"] == [1, 2]
    assert kept["pair"][0].tolist() == [0.0, 0.0] and kept["pair"][1] is None


def test_second_copy_takes_the_place_of_the_first_in_the_same_memory():
    weight = torch.zeros(3)
    copy = StateCopy()
    copy.take({"weight": weight})
    first = copy.read()
    weight += 1.0
    copy.take({"weight": weight, "step": 1})
    second = copy.read()
    assert first is not None and second is not None
    assert second["weight"].tolist() == [1.0, 1.0, 1.0] and second["step"] == 1
    assert second["weight"].data_ptr() == first["weight"].data_ptr()


def test_state_that_grows_is_copied_whole():
    copy = StateCopy()
    copy.take({"moments": {}})  # an optimiser before its first step
    copy.take({"moments": {"0": torch.ones(2, dtype=torch.float64)}})
    kept = copy.read()
    assert kept is not None and kept["moments"]["0"].dtype == torch.float64
