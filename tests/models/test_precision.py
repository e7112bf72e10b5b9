"""Which processors multiply bfloat16."""

from __future__ import annotations

import pytest
import torch

from epo.models import precision
from tests.stand_in import replace_in


def _cpuinfo(tmp_path, text: str) -> bool:
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    return precision._cpu_supports_bf16(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx512f amx_bf16\n", True),
        ("processor\t: 0\nFeatures\t: asimd bf16\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_vnni\n", False),
        ("model name\t: avx512_bf16 by name only\nflags\t\t: fpu\n", False),
        ("", False),
    ],
)
def test_cpu_supports_bf16_if_the_kernel_lists_it(tmp_path, text, expected):
    assert _cpuinfo(tmp_path, text) is expected


def test_unknown_systems_are_taken_to_lack_bf16(tmp_path):
    assert not precision._cpu_supports_bf16(tmp_path / "nothing")


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), False), ((8, 0), True)])
def test_cuda_supports_bf16_from_ampere_on(monkeypatch, capability, expected):
    asked = []

    def get_device_capability(index):
        asked.append(index)
        return capability

    replace_in(precision, "torch.cuda.is_available", lambda: True, monkeypatch)
    replace_in(precision, "torch.cuda.get_device_capability", get_device_capability, monkeypatch)
    assert precision.supports_bf16("cuda:1") is expected
    assert asked == [1]


def test_trunk_dtype_is_that_of_the_input_for_fp32():
    assert precision.trunk_dtype("fp32") is None
    assert precision.trunk_dtype("bf16") == torch.bfloat16
