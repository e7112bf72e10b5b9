"""`llms.txt`: the table of contents for language models, with every page as plain Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List

HEAD = """# epo

> Population-based policy optimisation for massively parallel simulation: PPO, SAPG, EPO (arXiv
> 2503.19037) and their rivals on one learner. An agent is a gene and a block of environments;
> everything else is shared. One command, `python train.py task=... algo=...`; verbs of
> `python -m epo` (play, eval, export, plot, runs, diagnose, doctor, study, bench).
"""


def write(site: Path, sections: Dict[str, List[str]], texts: Dict[str, str]) -> None:
    """Write `llms.txt` and the Markdown of the pages into the built site.

    Args:
        site: folder of the site.
        sections: title of a section -> its pages, paths below docs/.
        texts: path -> Markdown.
    """
    lines = [HEAD]
    for title, paths in sections.items():
        lines.append(f"## {title}\n")
        for path in paths:
            text = texts[path]
            target = site / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            lines.append(f"- [{heading(text)}]({path}): {abstract(text)}")
        lines.append("")
    (site / "llms.txt").write_text("\n".join(lines), encoding="utf-8")


def heading(text: str) -> str:
    """Return the title of a page."""
    return next((line[2:] for line in text.splitlines() if line.startswith("# ")), "")


def abstract(text: str) -> str:
    """Return the first sentence of a page's first paragraph."""
    for part in text.split("\n\n"):
        if part[:1] not in ("#", "!", "|", "<", "`", ":", " ", "-"):
            sentence = " ".join(part.split())
            return sentence.partition(". ")[0].rstrip(".:") + "."
    return ""
