"""What a verb says that Ctrl-C or an environment stops before its work is done."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import Iterator

from epo.envs import EnvError


@contextmanager
def says_what_is_lost(lost: str) -> Iterator[None]:
    """End the process with one line, with code 130 at Ctrl-C and 1 where an environment fails.

    Args:
        lost: such as `nothing was written`; empty: nothing is.
    """
    try:
        yield
    except KeyboardInterrupt:
        print(f"\ninterrupted{f': {lost}' if lost else ''}", file=sys.stderr)
        sys.exit(130)
    except EnvError as error:
        print(f"error: {error}{f'; {lost}' if lost else ''}", file=sys.stderr)
        sys.exit(1)
