from __future__ import annotations

import pytest

from epo.cli.interruption import says_what_is_lost
from epo.envs import EnvError


@pytest.mark.parametrize(
    ("error", "lost", "code", "said"),
    [
        (KeyboardInterrupt(), "nothing was written", 130, "\ninterrupted: nothing was written\n"),
        (KeyboardInterrupt(), "", 130, "\ninterrupted\n"),
        (EnvError("it fell"), "nothing was written", 1, "error: it fell; nothing was written\n"),
        (EnvError("it fell"), "", 1, "error: it fell\n"),
    ],
)
def test_end_of_a_verb_is_one_line_and_a_code(error, lost, code, said, capsys):
    with pytest.raises(SystemExit) as end, says_what_is_lost(lost):
        raise error
    assert end.value.code == code
    assert capsys.readouterr().err == said


def test_other_errors_pass():
    with pytest.raises(ValueError, match="else"), says_what_is_lost("nothing was written"):
        raise ValueError("else")
