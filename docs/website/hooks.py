"""What mkdocs calls while it builds the site: generated pages, links out of docs/, `llms.txt`."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any, Dict, List

from mkdocs.structure.files import File, Files

from docs.website import llms, navigation, reference, task_pages

REPOSITORY = Path(__file__).resolve().parents[2]
ADOPTED = {"docker.md": "docker/README.md", "changelog.md": "CHANGELOG.md"}
"""Page -> file of the repository outside of docs/ that it shows."""
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
_sections: Dict[str, List[str]] = {}
_texts: Dict[str, str] = {}


def on_config(config: Any) -> Any:
    """Place the pages that `mkdocs.yml` does not name."""
    docs = Path(config.docs_dir)
    written = [path.relative_to(docs).as_posix() for path in docs.rglob("*.md")]
    config.nav = navigation.complete(config.nav, written)
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made from code."""
    for page in [*task_pages.pages(), *reference.pages()]:
        files.append(File.generated(config, page.path, content=page.text))
    for path, source in ADOPTED.items():
        text = (REPOSITORY / source).read_text(encoding="utf-8")
        files.append(File.generated(config, path, content=text))
    return files


def on_nav(nav: Any, config: Any, files: Files) -> Any:
    """Note the sections, for `llms.txt`."""
    _sections.clear()
    for item in nav.items:
        found = [item] if item.is_page else _pages(item)
        _sections[item.title or "Start"] = [page.file.src_uri for page in found]
    return nav


def _pages(section: Any) -> List[Any]:
    pages: List[Any] = []
    for child in section.children or []:
        pages += [child] if child.is_page else _pages(child)
    return pages


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point links that leave docs/ to the page that shows their file, or turn them into text."""
    source = ADOPTED.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    place = posixpath.dirname(source)

    def resolved(match: re.Match[str]) -> str:
        bang, text, target, anchor = match.groups(default="")
        if ":" in target:
            return match.group(0)
        path = posixpath.normpath(posixpath.join(place, target))
        if path.startswith("docs/"):
            here = posixpath.dirname(page.file.src_uri) or "."
            return f"{bang}[{text}]({posixpath.relpath(path[5:], here)}{anchor})"
        for shown, adopted in ADOPTED.items():
            if path == adopted:
                here = posixpath.dirname(page.file.src_uri) or "."
                return f"[{text}]({posixpath.relpath(shown, here)}{anchor})"
        if not (REPOSITORY / path).exists():
            raise FileNotFoundError(f"{source}: the link to {target} leads nowhere")
        return f"{text} (`{path}`)"

    text = _LINK.sub(resolved, markdown)
    _texts[page.file.src_uri] = text
    return text


def on_post_build(config: Any) -> None:
    """Write `llms.txt` beside the pages."""
    llms.write(Path(config.site_dir), _sections, _texts)
