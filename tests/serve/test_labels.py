"""Labels of files: no two alike, none changed without need, all of them safe as paths."""

from __future__ import annotations

import unicodedata

import pytest

from lesion_demo.serve.labels import distinct_labels

CAFE = [unicodedata.normalize(form, "café.jpg") for form in ("NFC", "NFD")]


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["a.jpg", "b.jpg"], ["a.jpg", "b.jpg"]),
        (["IMG_1.JPG", "x.png", "IMG_1.JPG"], ["IMG_1.JPG (1)", "x.png", "IMG_1.JPG (2)"]),
        (["IMG_1.JPG", "img_1.jpg"], ["IMG_1.JPG (1)", "img_1.jpg (2)"]),
        (CAFE, [f"{CAFE[0]} (1)", f"{CAFE[1]} (2)"]),
        (["a.jpg", "a\u200b.jpg", "a?.jpg"], ["a.jpg", "a_.jpg (1)", "a_.jpg (2)"]),
        (["a.jpg (1)", "a.jpg", "a.jpg"], ["a.jpg (1)", "a.jpg (2)", "a.jpg (3)"]),
        (["a.jpg", "a.jpg", "A.JPG (1)", "a.jpg"], ["a.jpg (2)", "a.jpg (3)", "A.JPG (1)", "a.jpg (4)"]),
        (["../../evil.jpg", "/etc/x.jpg", "b\\c.jpg", "."], ["evil.jpg", "etc/x.jpg", "b/c.jpg", "_"]),
        (["a  b.jpg", " a b.jpg"], ["a b.jpg (1)", "a b.jpg (2)"]),
        (["\u202egpj.a.jpg", "\udc80.jpg", "x\n.jpg"], ["_gpj.a.jpg", "_.jpg", "x_.jpg"]),
        (["..\\..\\evil.jpg", "C:\\x.jpg"], ["evil.jpg", "C_/x.jpg"]),
        (["CON.jpg", "aux.tar/lpt1 .png", "console.jpg"], ["_CON.jpg", "_aux.tar/_lpt1 .png", "console.jpg"]),
        (["患者12.jpg", "المريض.jpg"], ["患者12.jpg", "المريض.jpg"]),
    ],
)
def test_every_file_has_a_label_of_its_own(names: list[str], labels: list[str]) -> None:
    assert distinct_labels(names) == labels


def test_no_label_is_too_long_for_a_disk() -> None:
    first, second = distinct_labels([f"{'患' * 300}{end}.jpg" for end in "ab"])
    assert first != second
    assert first.endswith("a.jpg")
    assert len(first.encode()) < 250
