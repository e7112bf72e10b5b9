"""Run pytest and print how many tests passed, as JSON."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Dict, Sequence

from epo.cli.bench.report import print_json

OUTCOMES = ("passed", "failed", "skipped", "error", "errors", "xfailed")


def main(arguments: Sequence[str]) -> int:
    """Run the tests; the code is pytest's."""
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    text = done.stdout.decode("utf-8", errors="replace")
    failures = [line for line in text.splitlines() if line.startswith(("FAILED", "ERROR"))]
    print("\n".join(text.splitlines()[-20:]))
    print_json(**counts(text), failures=failures)
    return done.returncode


def counts(text: str) -> Dict[str, int]:
    """Read `3 passed, 1 skipped` from the last line that says such a thing."""
    found = re.findall(rf"(\d+) ({'|'.join(OUTCOMES)})\b", text.strip().splitlines()[-1])
    return {name: int(number) for number, name in found}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
