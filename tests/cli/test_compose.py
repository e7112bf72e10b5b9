"""A command line becomes checked configurations, or one line about its mistake."""

from __future__ import annotations

import errno
import tempfile
from functools import partial

import pytest

from epo import exceptions
from epo.cli.compose import configurations, one_line_errors
from epo.config import Config, ConfigError
from tests.composed import CONFIG_DIR, register
from tests.stand_in import replace_in


def checked(*argv: str):
    register()
    return configurations(argv, CONFIG_DIR)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("task=AllegroKukaRegraspin", "there is no such task; did you mean AllegroKukaRegrasping?"),
        ("algo=epoo", r"algo=epoo: .* did you mean epo\? \(choices: epo, cpo, epo_robust, ppo, .*"),
        ("experiment=paper/Foo", "experiment=paper/Foo: there is no such experiment"),
        ("agorithm=ppo", "agorithm=ppo: there is no such setting; did you mean algo?"),
        ("ppo.gama=1", "ppo.gama=1: .* did you mean algo.ppo.gamma?"),
        ("task.episode_lenght=3", "did you mean task.episode_length?"),
        ("seed=abc", "seed=abc: give a whole number"),
        ("max_frames=1e9", "max_frames=1e9: give a whole number, written out: 1000000000"),
        ("algo.ppo.gamma=high", "algo.ppo.gamma=high: give a number"),
        ("algo.ppo.shuffle=perhaps", "algo.ppo.shuffle=perhaps: give true or false"),
        ("algo.network.mlp_units=3", "algo.network.mlp_units=3: give a list such as"),
        ("algo.ppo=3", "algo.ppo=3: it is a group of settings"),
        ("seed=null", "seed=null: it cannot be empty"),
        ("laptop", "argument=laptop: write name=value"),
        ("+fresh=1", "settings are fixed"),
        ("~seed", "settings are fixed"),
        ("seed=1,2", r"seed=1,2: several values need a multirun \(-m seed=1,2\)"),
        ("--num_envs=64", "flag=--num_envs=64: unknown; settings are written name=value"),
        ("max_minutes=${nothing}", "it refers to a setting that does not exist"),
    ],
)
def test_mistake_is_explained(argument: str, message: str):
    with pytest.raises(ConfigError, match=message):
        checked(argument)


def test_settings_of_the_chosen_task_are_suggested():
    with pytest.raises(ConfigError, match=r"env_id=X: .* did you mean task\.env_id\?"):
        checked("task=Gymnasium", "env_id=X")


def test_experiment_of_another_task_is_explained():
    with pytest.raises(ConfigError, match=r"task\.\w+=.*leave out experiment=laptop"):
        checked("experiment=laptop", "task=ProbeReach")


def test_check_gives_what_would_run():
    (cfg,) = checked("algo=ppo", "seed=3")
    assert (cfg.algo.name, cfg.seed, cfg.task.name) == ("ppo", 3, "AllegroKukaRegrasping")


def test_check_leaves_informing_flags_to_hydra():
    assert checked("--help", "task=Foo") == []
    assert checked("--cfg", "job") == []


def test_check_sees_every_value_of_a_sweep():
    configs = checked("-m", "seed=1,2", "algo=ppo,sapg,epo")
    # The first run, one for the other seed, two for the other algorithms.
    assert [(cfg.seed, cfg.algo.name) for cfg in configs] == [
        (1, "ppo"),
        (2, "ppo"),
        (1, "sapg"),
        (1, "epo"),
    ]


def test_check_finds_a_mistake_in_the_last_value_of_a_sweep():
    with pytest.raises(ConfigError, match="seed=x: give a whole number"):
        checked("-m", "seed=1,2,x")


def test_validation_errors_pass_through_check():
    def refuse(cfg: Config) -> None:
        raise ConfigError("seed", cfg.seed, "unlucky")

    register()
    with pytest.raises(ConfigError, match="seed=13: unlucky"):
        configurations(["seed=13"], CONFIG_DIR, refuse)


def test_one_line_errors_prints_one_line_and_ends_with_2(monkeypatch, capsys):
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(SystemExit) as end, one_line_errors():
        raise ConfigError("seed", -1, "use 0 or more")
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: seed=-1: use 0 or more\n"


def test_one_line_errors_shows_the_traceback_on_request(monkeypatch, capsys):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(SystemExit) as end, one_line_errors():
        raise ConfigError("seed", -1, "use 0 or more")
    assert end.value.code == 2
    assert "Traceback" in capsys.readouterr().err


def test_exception_that_nobody_expected_is_one_line_and_a_file(monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    in_here = partial(tempfile.mkstemp, dir=str(tmp_path))
    replace_in(exceptions, "tempfile.mkstemp", in_here, monkeypatch)
    monkeypatch.setenv("SOME_TOKEN", "s3cretvalue12345")
    with pytest.raises(SystemExit) as end, one_line_errors():
        raise RuntimeError("broken by\n s3cretvalue12345")
    assert end.value.code == 1
    (path,) = tmp_path.iterdir()
    printed = capsys.readouterr().err
    assert printed.startswith("error: RuntimeError: broken by ")
    assert printed.endswith(f"; not expected, its traceback: {path}\n") and printed.count("\n") == 1
    kept = path.read_text()
    assert "Traceback" in kept and "test_exception_that_nobody_expected" in kept
    assert "s3cretvalue" not in kept + printed


def test_traceback_that_cannot_be_kept_is_offered_another_way(monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    replace_in(exceptions, "tempfile.mkstemp", no_room, monkeypatch)
    with pytest.raises(SystemExit), one_line_errors():
        raise RuntimeError("broken")
    expected = "error: RuntimeError: broken; not expected, HYDRA_FULL_ERROR=1 shows where\n"
    assert capsys.readouterr().err == expected


def no_room(*args: object, **settings: object) -> None:
    raise OSError(errno.ENOSPC, "no space")
