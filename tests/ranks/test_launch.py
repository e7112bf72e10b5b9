"""What is said of ranks that failed."""

from __future__ import annotations

import pytest

from epo.ranks.alone import GONE
from epo.ranks.launch import describe


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ({1: -9}, "rank 1 was killed by SIGKILL"),
        ({0: -15, 1: -9}, "rank 1 was killed by SIGKILL"),  # the launcher ended rank 0
        ({0: -15, 1: -11}, "rank 1 was killed by SIGSEGV"),
        ({2: 3}, "rank 2 ended with code 3"),
        ({0: -15, 1: -15}, "rank 0 was killed by SIGTERM"),
        ({0: GONE, 1: -9}, ""),  # rank 0 has named rank 1
        ({0: -15, 1: 1}, ""),  # rank 1 has said its error
    ],
)
def test_the_rank_that_failed_first_is_named(codes: dict, expected: str):
    assert describe(codes) == expected
