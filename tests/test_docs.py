"""Pages and their links; `make docs` looks at the names in docstrings, too."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/*.md"),
                *ROOT.glob("docs/methods/*.md"),
                *ROOT.glob("examples/*/README.md")])


def tokens(page: Path) -> list[Token]:
    parsed = MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))
    return [inner for token in parsed for inner in [token, *(token.children or [])]]


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as code hosts and Sphinx make them."""
    found = tokens(page)
    titles = [after.content for token, after in pairwise(found)
              if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page: Path) -> None:
    """Files and headings that a page links to are there, inside the repository."""
    targets = [str(token.attrs[key]) for token in tokens(page)
               for key in ("href", "src") if key in token.attrs]
    for target in targets:
        if re.match(r"(https?|mailto):", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.is_file(), target
        assert path.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(path), target


def test_links_are_seen() -> None:
    """The pages are read as Markdown: these links and headings are known."""
    hrefs = {token.attrs.get("href") for token in tokens(ROOT / "docs" / "integration.md")}
    assert {"registers.md", "#without-axi", "../scripts/eieio.core"} <= hrefs
    assert {"ports", "without-axi", "fusesoc"} <= anchors(ROOT / "docs" / "integration.md")


def test_contents() -> None:
    """Every page is in the site's table of contents, and nothing else is."""
    settings = ast.parse((ROOT / "docs" / "site" / "conf.py").read_text(encoding="utf-8"))
    contents, = (ast.literal_eval(node.value) for node in settings.body
                 if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_CONTENTS")
    entries = re.findall(r"(?m)^[\w*/-]+$", contents)
    listed = [path for entry in entries for path in sorted(ROOT.glob(f"{entry}.md"))]
    assert len(listed) == len(set(listed))
    assert sorted([ROOT / "README.md", *listed]) == PAGES
