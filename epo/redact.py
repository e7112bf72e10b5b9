"""Secrets in text: tokens, keys and passwords are replaced before anything is recorded.

Everything that describes a run (command, configuration, diff of the code, tracebacks) passes
through `redact`. It would rather hide a harmless word than leave a secret; what it hides is marked,
so nobody takes the text for the original.
"""

from __future__ import annotations

import os
import re
from typing import Any, Iterable, List, Mapping, Match, Optional

MARK = "<redacted>"
"""What stands in the place of a secret."""
SHORTEST = 6
"""Values of environment variables that are shorter are words, not secrets."""

_SECRET = (
    r"(?:[A-Za-z0-9]*(?:password|passwd|passphrase|secret|apikey|authtoken)"
    r"|pass(?:code)?|token|credentials?|auth|authorization|cookie"
    r"|(?:api|access|private|secret|signing|encryption|account|shared|auth|license)[_-]?key)"
)
# The last word of a name decides: access_token is one, num_tokens and tokenizer are not. PWD alone
# is the working directory.
_NAME = rf"(?:(?:[A-Za-z0-9]+[_.-]+)*{_SECRET}|(?:[A-Za-z0-9]+[_.-]+)+pwd)"
_IS_SECRET = re.compile(rf"{_NAME}\Z", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_KEY = r"[A-Za-z_][A-Za-z0-9_.-]*"
_HARMLESS = re.compile(
    r"(?:None|null|true|false|default|auto|never|os\.environ\S*|\$.*|<redacted>)?\Z", re.IGNORECASE
)
_PEM = re.compile(
    r"(-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----).*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_URL = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s/@'\"]+@")
_HEADER = re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9+/._~=-]{8,}")
_KNOWN = re.compile(
    r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|hf_[A-Za-z0-9]{16,}"
    r"|sk-[\w-]{16,}|xox[abeoprs]-[\w-]{10,}|(?:AKIA|ASIA)[A-Z0-9]{12,}|AIza[\w-]{30,}"
    r"|npm_[A-Za-z0-9]{20,}|pypi-[\w-]{16,}|wandb_v\d_\w{16,}|local-[0-9a-f]{40}|dop_v1_[0-9a-f]{32,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
)
# name=value, name: value, "name": "value"; a value in quotes ends with them.
_PAIR = re.compile(
    rf"(?P<name>{_KEY})(?P<between>[\"']?\]?\s*(?::=|=>|[:=])\s*)"
    r"(?P<value>\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|[^\s\"',;(){}\[\]]+(?![\w(]))"
)
_FLAG = re.compile(
    rf"(?P<name>--?{_KEY})(?P<between>\s+)(?P<value>'[^'\n]*'|\"[^\"\n]*\"|[^\s-]\S*)"
)


def redact(text: str, environment: Optional[Mapping[str, str]] = None) -> str:
    """Replace what looks like a secret by `MARK`; redacted text stays as it is.

    Found are credentials in URLs, private keys, tokens of known services, headers, values that
    are named as secrets (`api_key=...`, `"password": "..."`, `--token ...`), and wherever they
    stand the values of environment variables with such names.

    Args:
        text: any text, such as a diff or a traceback.
        environment: variables to look at; None: those of this process.
    """
    found = os.environ if environment is None else environment
    secrets = {v for name, v in found.items() if is_secret(name) and len(v) >= SHORTEST}
    for value in sorted(secrets, key=len, reverse=True):
        text = text.replace(value, MARK)
    text = _PEM.sub(rf"\1{MARK}\2", text)
    text = _URL.sub(rf"\g<scheme>{MARK}@", text)
    text = _HEADER.sub(rf"\1\2{MARK}", text)
    text = _KNOWN.sub(MARK, text)
    text = _PAIR.sub(_hide, text)
    return _FLAG.sub(_hide, text)


def redact_tree(tree: Any, name: str = "") -> Any:
    """Redact every text in nested containers; below a name of a secret, all of them.

    Args:
        tree: nested dicts and lists of plain values, such as a configuration.
        name: under which it is kept.
    """
    if isinstance(tree, Mapping):
        return {key: redact_tree(value, str(key)) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [redact_tree(value, name) for value in tree]
    if isinstance(tree, str):
        is_hidden = is_secret(name) and not _HARMLESS.match(tree)
        return MARK if is_hidden else redact(tree)
    return tree


def redact_words(words: Iterable[str]) -> List[str]:
    """Redact the words of a command line: of `name=value` the whole value, spaces included."""
    found: List[str] = []
    for word in words:
        name, is_setting, value = word.partition("=")
        is_hidden = is_setting and is_secret(name) and not _HARMLESS.match(value)
        found.append(f"{name}={MARK}" if is_hidden else redact(word))
    return found


def is_secret(name: str) -> bool:
    """Return whether `name`, of a variable or setting, says that its value is a secret."""
    return bool(_IS_SECRET.match(_CAMEL.sub("_", name.lstrip("-"))))


def _hide(found: Match[str]) -> str:
    """Replace the value of a pair whose name is one of a secret."""
    name, value = found["name"], found["value"]
    quote = value[0] if value[0] in "\"'" else ""
    inner = value[1:-1] if quote else value
    if not is_secret(name) or _HARMLESS.match(inner) or inner == name.rpartition(".")[2]:
        return found[0]
    return f"{name}{found['between']}{quote}{MARK}{quote}"
