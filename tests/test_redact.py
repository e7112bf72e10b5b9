"""Secrets that are planted in text do not survive; what is no secret does."""

from __future__ import annotations

import pytest

from epo.redact import MARK, is_secret, redact, redact_tree, redact_words

SECRET = "hunter2-Zx81qq"
KNOWN = (
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "a1B2" * 9,
    "glpat-" + "a1B2" * 5,
    "hf_" + "a1B2" * 8,
    "sk-proj-" + "a1B2" * 8,
    "xoxb-1234567890-abcdef",
    "AKIA" + "ABCD1234" * 2,
    "AIza" + "a1B2" * 9,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
)


@pytest.mark.parametrize(
    "text",
    [
        "https://me:{}@example.org/repo.git",
        "https://{}@example.org/repo.git",
        "postgres://me:{}@db/x",
        "+API_KEY = '{}'",
        "password: {}",
        '"access_token": "{}",',
        "-m task.kwargs.token={}",
        "'task.kwargs.password={}'",
        "os.environ['WANDB_API_KEY'] = '{}'",
        'config["secret"] = "{}"',
        "clientSecret={}",
        "--token {}",
        "--password '{}'",
        "Authorization: Bearer {}",
        "curl -H 'Authorization: Basic {}'",
        "-----BEGIN RSA PRIVATE KEY-----\n+{}\n+abc\n-----END RSA PRIVATE KEY-----",
        "DB_PASSWD={}",
        "secret_key := {}",
    ],
)
def test_secret_is_hidden_and_its_place_is_marked(text: str):
    hidden = redact(text.format(SECRET), {})
    assert SECRET not in hidden and MARK in hidden
    assert redact(hidden, {}) == hidden


@pytest.mark.parametrize("token", KNOWN)
def test_tokens_of_known_services_are_hidden_anywhere(token: str):
    assert redact(f"x = f({token!r}, 3)", {}) == f"x = f('{MARK}', 3)"


def test_values_of_secret_variables_are_hidden_wherever_they_stand():
    environment = {"MY_TOKEN": SECRET, "HOME": "/home/someone", "PIN_PASSWORD": "1"}
    text = f"KeyError: '{SECRET}' in /home/someone, 11 lines"
    assert redact(text, environment) == f"KeyError: '{MARK}' in /home/someone, 11 lines"


@pytest.mark.parametrize(
    "text",
    [
        "num_tokens = 512",
        "tokenizer: bert",
        "token = next(tokens)",
        "def f(token=None):",
        "f(token=token)",
        "password: ${oc.env:DB}",
        "password=os.environ['X']",
        "keypoint_scale=1.5",
        "author: someone",
        "https://example.org/a@b",
        "algo.ppo.gamma=0.99 seed=1 run_dir=runs/a",
        "compass=north  bypass=true  monkey=abcdefgh",
        "git@github.com:owner/repository.git",
        "commit 096ee72fe2b0c3bbdcbb4b5b2b6a5bb0c8b1d2e3",
    ],
)
def test_what_is_no_secret_stays(text: str):
    assert redact(text, {}) == text


def test_whole_value_of_a_setting_is_hidden():
    words = ["seed=1", "task.kwargs.password=one two=three", "run_dir=a b"]
    assert redact_words(words) == ["seed=1", f"task.kwargs.password={MARK}", "run_dir=a b"]


def test_tree_is_redacted_by_names_and_by_text():
    tree = {
        "task": {"kwargs": {"api_key": SECRET, "pin": 3, "url": f"https://a:{SECRET}@b/c"}},
        "passwords": {"password": [SECRET, "${oc.env:DB}"]},
        "checkpoint": None,
    }
    assert redact_tree(tree) == {
        "task": {"kwargs": {"api_key": MARK, "pin": 3, "url": f"https://{MARK}@b/c"}},
        "passwords": {"password": [MARK, "${oc.env:DB}"]},
        "checkpoint": None,
    }


@pytest.mark.parametrize(
    "name",
    [
        "TOKEN",
        "HF_TOKEN",
        "apiKey",
        "api-key",
        "AWS_SECRET_ACCESS_KEY",
        "MYSQL_PWD",
        "dbPassword",
        "dbpassword",
    ],
)
def test_names_of_secrets(name: str):
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "KEY",
        "key",
        "num_tokens",
        "PATH",
        "PWD",
        "OLDPWD",
        "SSH_AUTH_SOCK",
        "XDG_SESSION_ID",
        "monkey",
        "compass",
        "author",
    ],
)
def test_names_of_other_things(name: str):
    assert not is_secret(name)
