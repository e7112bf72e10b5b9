"""Every verb, and every bench, answers --help with its usage."""

from __future__ import annotations

import pytest

from epo.__main__ import VERBS, main
from epo.cli.bench.command import BENCHES
from epo.config import ConfigError

COMMANDS = [[verb] for verb in VERBS if verb != "train"] + [["bench", what] for what in BENCHES]


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_verbs_answer_help(command: list, flag: str, capsys: pytest.CaptureFixture):
    main([*command, flag])
    printed = capsys.readouterr()
    assert printed.out.startswith(f"usage: python -m epo {' '.join(command)} ")
    assert max(map(len, printed.out.splitlines())) <= 100
    assert printed.err == ""


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_training_answers_help_with_its_settings(flag: str, capsys: pytest.CaptureFixture):
    main(["train", flag])
    printed = capsys.readouterr().out
    assert printed.startswith("Train a population of agents") and "num_agents" in printed


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_command_lists_its_verbs(words: list, capsys: pytest.CaptureFixture):
    main(words)
    printed = capsys.readouterr().out
    assert all(f"\n  {verb} " in printed for verb in VERBS)


def test_unknown_verb_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean play"):
        main(["pley"])
