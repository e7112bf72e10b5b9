"""`llms.txt`: every page with its title and its first sentence."""

from __future__ import annotations

from pathlib import Path

from docs.website import llms

PAGE = """# Title

![picture](a.png)

    a command

The first sentence, which
goes on. The second one.
"""


def test_pages_are_listed_with_their_first_sentence(tmp_path: Path):
    llms.write(tmp_path, {"How to": ["sub/a.md"]}, {"sub/a.md": PAGE})
    lines = (tmp_path / "llms.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# epo"
    assert "- [Title](sub/a.md): The first sentence, which goes on." in lines
    assert (tmp_path / "sub/a.md").read_text(encoding="utf-8") == PAGE


def test_page_without_prose_has_no_sentence():
    assert llms.abstract("# Title\n\n| a | b |\n") == ""
