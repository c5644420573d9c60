"""CITATION.cff: what its format requires, the version of the project, and no identifier that nobody has assigned."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from conftest import PROJECT

from lesion_demo import __version__


@pytest.fixture(scope="module")
def citation() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    return found


def is_person_or_entity(author: dict[str, str]) -> bool:
    return bool(author.get("name") or (author.get("family-names") and author.get("given-names")))


def test_it_has_what_version_1_2_0_of_the_format_requires(citation: dict[str, Any]) -> None:
    assert citation["cff-version"] == "1.2.0"
    for required in ("message", "title", "authors"):
        assert citation[required], required
    assert citation["type"] in ("software", "dataset")
    assert all(map(is_person_or_entity, citation["authors"]))


def test_every_reference_has_what_the_format_requires(citation: dict[str, Any]) -> None:
    for reference in citation["references"]:
        for required in ("type", "title", "authors"):
            assert reference[required], (required, reference)
        assert all(map(is_person_or_entity, reference["authors"]))
        assert re.fullmatch(r"10\.\d{4,9}(\.\d+)?/\S+", reference["doi"])


def test_version_and_licence_are_the_projects_own(citation: dict[str, Any]) -> None:
    project = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    assert citation["version"] == __version__
    assert f'license = "{citation["license"]}"' in project


def test_it_claims_no_identifier(citation: dict[str, Any]) -> None:
    assert not citation.keys() & {"doi", "identifiers", "commit", "url", "repository-code"}


def test_its_data_sets_are_those_that_the_weights_licence_names(citation: dict[str, Any]) -> None:
    terms = (PROJECT / "checkpoints" / "LICENSE.md").read_text(encoding="utf-8")
    assert all(reference["doi"] in terms for reference in citation["references"])
    assert "not for commercial use" in terms
