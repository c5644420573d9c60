"""What surrounds the code: links that lead somewhere, hooks that fetch nothing, templates, changelog, version."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from conftest import PROJECT

from lesion_demo import __version__

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "checkpoints/*.md", "checkpoints/*/README.md", ".github/**/*.md")
    for path in PROJECT.glob(pattern)
)
FORMS = sorted((PROJECT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
LINK = re.compile(r"\[[^\]]*\]\((?P<plain>[^()\s]+)(?:\s+\"[^\"]*\")?\)")
FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")


def text_of(page: Path) -> str:
    """The page without what stands in code, which is no link and no heading."""
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Names by which the page's headings can be linked to, made as GitHub makes them."""
    found: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", text_of(page), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        count = found.get(slug, 0)
        found[slug] = count + 1
        names.add(f"{slug}-{count}" if count else slug)
    return names


def dead_links(page: Path) -> list[str]:
    """Links of the page that lead to no file of the project, to no heading, or out of it by an unsafe scheme."""
    dead = []
    for link in (found["plain"] for found in LINK.finditer(CODE.sub("", text_of(page)))):
        if re.match(r"[a-z][a-z0-9+.\-]*:", link, re.IGNORECASE):
            if not link.startswith(("https://", "mailto:")):
                dead.append(link)
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    assert dead_links(page) == []


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading, with `code`\n## Twice\n## Twice\n[ok](#a-heading-with-code) [ok](#twice-1) [ok](https://example.org)\n"
        "[a](#nowhere) [b](missing.md) ![c](missing.png) [d](http://example.org)\n"
        "`[no link](in-code.md)`\n```\n[no link](in-a-block.md)\n```\n",
        encoding="utf-8",
    )
    assert dead_links(page) == ["#nowhere", "missing.md", "missing.png", "http://example.org"]


def test_the_pages_that_people_look_for_are_among_those_checked() -> None:
    names = {page.relative_to(PROJECT).as_posix() for page in PAGES}
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/data.md", "docs/use.md"} <= names


def test_hooks_are_local_and_fetch_nothing() -> None:
    path = PROJECT / ".pre-commit-config.yaml"
    text = path.read_text(encoding="utf-8")
    repositories = yaml.safe_load(text)["repos"]
    assert {one["repo"] for one in repositories} == {"local"}
    assert "://" not in text
    hooks = [hook for one in repositories for hook in one["hooks"]]
    assert {hook["id"] for hook in hooks} == {"ruff", "ruff-format", "mypy"}
    assert all(hook["language"] == "system" for hook in hooks)
    installed = (PROJECT / "requirements-dev.txt").read_text(encoding="utf-8")
    assert all(hook["entry"].split()[0] in installed for hook in hooks)


@pytest.mark.parametrize(
    "path", sorted((PROJECT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.name
)
def test_issue_forms_are_whole(path: Path) -> None:
    form: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.name == "config.yml":
        assert form.keys() == {"blank_issues_enabled"}
        return
    assert form["name"]
    assert form["description"]
    fields = form["body"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert {field["type"] for field in fields} <= {"checkboxes", "textarea", "input", "dropdown"}
    assert all(field["attributes"]["label"] for field in fields)


def test_who_reports_a_fault_is_asked_to_keep_patients_out() -> None:
    for name in ("bug.yml", "safety.yml"):
        first = yaml.safe_load((PROJECT / ".github" / "ISSUE_TEMPLATE" / name).read_text(encoding="utf-8"))["body"][0]
        assert first["attributes"]["options"][0]["required"]
        assert "no patient's picture" in first["attributes"]["options"][0]["label"]


KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_changelog_has_its_form_and_the_version_is_semantic() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", __version__)
    text = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", text, re.MULTILINE)
    assert releases[0] == ("Unreleased", "")
    assert all(date for _, date in releases[1:])
    assert (releases[1][0] if len(releases) > 1 else re.findall(r"To become ([\d.]+),", text)[0]) == __version__
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= KINDS


def test_the_version_is_stated_once() -> None:
    project = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'dynamic = ["version", "dependencies"]' in project
    assert 'version = { attr = "lesion_demo.__version__" }' in project
    assert __version__ not in project
