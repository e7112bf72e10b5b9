"""What is printed for somebody to type fits how the program was started."""

from __future__ import annotations

import pytest

from epo import __main__ as entry
from epo import program
from epo.cli.compose import one_line_errors
from epo.config import ConfigError
from tests.stand_in import replace_in

VERBS = sorted(set(entry.VERBS) - {"train"})  # whose help is Hydra's


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_an_installed_package_names_its_command(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    replace_in(program, "sys.argv", ["/env/bin/epo", verb, "--help"], monkeypatch)
    entry.main([verb, "--help"])
    installed = capsys.readouterr().out
    assert f"epo {verb}" in installed and "python -m" not in installed
    replace_in(program, "sys.argv", ["/checkout/epo/__main__.py", verb, "--help"], monkeypatch)
    entry.main([verb, "--help"])
    assert f"python -m epo {verb}" in capsys.readouterr().out


def test_hint_of_an_error_names_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    replace_in(program, "sys.argv", ["/env/bin/epo", "play"], monkeypatch)
    with pytest.raises(SystemExit), one_line_errors():
        raise ConfigError("checkpoint", "x", "there is no such file; python -m epo runs lists runs")
    assert "file; epo runs lists runs" in capsys.readouterr().err
