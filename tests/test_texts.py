"""The translations: complete, alike in what they fill in, and with numbers as their readers write them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from lesion_demo import texts as module
from lesion_demo.errors import LesionDemoError
from lesion_demo.results import Interval
from lesion_demo.texts import TRANSLATIONS, languages, load_texts

PACKAGE = TRANSLATIONS.parent


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text below `value` with its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def translation(language: str) -> dict[str, str]:
    return dict(leaves(json.loads((TRANSLATIONS / f"{language}.json").read_text(encoding="utf-8"))))


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The translations in a folder of their own, where they may be spoilt."""
    for path in TRANSLATIONS.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(module, "TRANSLATIONS", tmp_path)
    return tmp_path


def change(path: Path, area: str, key: str, value: Any) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    if value is None:
        del values[area][key]
    else:
        values[area][key] = value
    path.write_text(json.dumps(values), encoding="utf-8")


def test_english_and_german_are_there() -> None:
    assert languages() == ["en", "de"]
    assert load_texts().language == "en"
    assert load_texts("de").page.title != load_texts("en").page.title
    with pytest.raises(LesionDemoError, match=r"'fr'.*en, de"):
        load_texts("fr")


def test_missing_key_is_named(copies: Path) -> None:
    change(copies / "de.json", "page", "title", None)
    with pytest.raises(LesionDemoError, match=r"de\.json: page lacks title"):
        load_texts("de")
    assert load_texts("en")


def test_unknown_key_is_named(copies: Path) -> None:
    change(copies / "de.json", "verdict", "horoscope", "Pisces")
    with pytest.raises(LesionDemoError, match=r"de\.json: verdict should not have horoscope"):
        load_texts("de")


def test_missing_word_is_named(copies: Path) -> None:
    change(copies / "de.json", "verdict", "outcomes", {"benign": "Geringerer Verdacht"})
    with pytest.raises(LesionDemoError, match=r"de\.json: verdict\.outcomes lacks malignant"):
        load_texts("de")


def test_file_that_is_no_json_is_named(copies: Path) -> None:
    (copies / "de.json").write_text("{", encoding="utf-8")
    with pytest.raises(LesionDemoError, match=r"de\.json cannot be read"):
        load_texts("de")


@pytest.mark.parametrize("language", [language for language in languages() if language != "en"])
def test_translations_fill_in_the_same_values(language: str) -> None:
    def filled(text: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(text) if name}

    english, other = translation("en"), translation(language)
    assert english.keys() == other.keys()
    assert {path for path in english if filled(english[path]) != filled(other[path])} == set()


@pytest.mark.parametrize("language", [language for language in languages() if language != "en"])
def test_no_sentence_is_left_in_english(language: str) -> None:
    english, other = translation("en"), translation(language)
    assert [path for path, text in english.items() if len(text.split()) > 3 and other[path] == text] == []


AREAS = tuple(json.loads((TRANSLATIONS / "en.json").read_text(encoding="utf-8")))


def texts_asked_for() -> set[tuple[str, str]]:
    """(area, key) for every `….area.key` in the package, also where `words = ….area` comes before, and in templates."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]:
            names = dict(pair for node in ast.walk(function) for pair in areas_named(node))
            for node in ast.walk(function):
                if isinstance(node, ast.Attribute) and (area := area_of(node.value, names)):
                    found.add((area, node.attr))
    found |= set(re.findall(r"\bself\.(page)\.(\w+)", (PACKAGE / "texts.py").read_text(encoding="utf-8")))
    for path in [*PACKAGE.rglob("*.html"), *PACKAGE.rglob("*.md")]:
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r"\btexts\.(\w+)\.(\w+)", text))
        for name, area in re.findall(r"{% set (\w+) = texts\.(\w+) %}", text):
            found |= {(area, key) for key in re.findall(rf"\b{name}\.(\w+)", text)}
    return {(area, key) for area, key in found if key not in dir(dict)}


def areas_named(node: ast.AST) -> Iterator[tuple[str, str]]:
    """(name, area) of `words = texts.page` and of `words, outcome = texts.verdict, analysis.verdict`."""
    if not isinstance(node, ast.Assign):
        return
    for target in node.targets:
        pairs: list[tuple[ast.expr, ast.expr]] = [(target, node.value)]
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = list(zip(target.elts, node.value.elts, strict=False))
        for left, right in pairs:
            if isinstance(left, ast.Name) and (area := area_of(right, {})):
                yield left.id, area


def area_of(node: ast.AST, names: dict[str, str]) -> str | None:
    """The area that `node` stands for; `names` are those of variables."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if (
        isinstance(node, ast.Attribute)
        and node.attr in AREAS
        and re.search(r"texts(\(\w+\))?$", ast.unparse(node.value))
    ):
        return node.attr
    return None


@pytest.mark.parametrize("language", languages())
def test_every_text_that_is_asked_for_is_there_and_every_other_is_of_use(language: str) -> None:
    asked = texts_asked_for()
    assert len(asked) > 150
    areas = json.loads((TRANSLATIONS / f"{language}.json").read_text(encoding="utf-8"))
    there = {(area, key) for area, texts in areas.items() for key in texts}
    assert asked - there == set()
    assert {pair for pair in there - asked if pair[0] != "capture"} == set()
    script = (PACKAGE / "web" / "capture.js").read_text(encoding="utf-8")
    assert [key for key in areas["capture"] if not re.search(rf"\b{key}\b", script)] == []
    assert {key for texts in areas.values() for key in texts} & set(dir(dict)) == set()


def test_a_text_that_is_not_there_is_named() -> None:
    with pytest.raises(LesionDemoError, match="no text 'horoscope'; add it to every file"):
        _ = load_texts().page.horoscope


@pytest.mark.parametrize(
    ("share", "english", "german"),
    [
        (0.0, "0.0 %", "0,0 %"),
        (0.0002, "under 0.1 %", "unter 0,1 %"),
        (0.214, "21.4 %", "21,4 %"),
        (0.9999, "over 99.9 %", "über 99,9 %"),
        (1.0, "100.0 %", "100,0 %"),
    ],
)
def test_percentages_do_not_round_to_certainty(share: float, english: str, german: str) -> None:
    assert load_texts("en").percent(share).replace("\u00a0", " ") == english
    assert load_texts("de").percent(share).replace("\u00a0", " ") == german


def test_numbers_and_intervals_are_written_as_in_the_language() -> None:
    interval = Interval(0.904, 0.877, 0.929)
    assert load_texts("en").number(12345.6, 1) == "12,345.6"
    assert load_texts("de").number(12345.6, 1) == "12.345,6"
    assert load_texts("de").interval(interval) == "90,4\u00a0% (87,7–92,9)"
