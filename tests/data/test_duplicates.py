"""Fingerprints, near-duplicates through crops and rings, and groups."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from lesion_demo.data.duplicates import near_duplicate_pairs
from lesion_demo.data.fingerprints import fingerprint
from lesion_demo.data.grouping import group_pictures, links_between
from lesion_demo.data.picture import Picture


def lesion(seed: int, width: int = 240, height: int = 180) -> Image.Image:
    """A dark blob with its own outline and mottling in the middle of skin: alike when coarse, not in detail."""
    generator = np.random.default_rng(seed)
    mottling = np.asarray(Image.fromarray(noise(generator, 30)).resize((width, height), Image.Resampling.BICUBIC))
    y, x = np.mgrid[-1 : 1 : height * 1j, -1.33 : 1.33 : width * 1j]
    blob = 1 / (1 + np.exp(25 * (np.hypot(x, y) - 0.55)))
    skin = 205 + 0.15 * (mottling.astype(float) - 128)
    spot = 90 + 0.6 * (mottling.astype(float) - 128)
    grey = skin * (1 - blob) + spot * blob
    return Image.fromarray(np.clip(grey[..., None] * (1.0, 0.8, 0.7), 0, 255).astype(np.uint8))


def noise(generator: np.random.Generator, side: int) -> NDArray[np.uint8]:
    return generator.integers(0, 256, (side, side), dtype=np.uint8)


def ringed(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image).copy()
    height, width = pixels.shape[:2]
    y, x = np.mgrid[:height, :width]
    pixels[np.hypot(x - width / 2, y - height / 2) > 0.46 * height] = 3
    return Image.fromarray(pixels)


def centre(image: Image.Image, share_x: float, share_y: float) -> Image.Image:
    width, height = image.size
    box = (width * (1 - share_x) / 2, height * (1 - share_y) / 2, width * (1 + share_x) / 2, height * (1 + share_y) / 2)
    return image.resize((150, 150), Image.Resampling.BICUBIC, box=box)


def pictures_of(folder: Path, images: list[Image.Image], quality: int = 85) -> list[Picture]:
    found = []
    for index, image in enumerate(images):
        path = folder / f"{index}.jpg"
        image.save(path, quality=quality)
        found.append(Picture(path, path.name, "made", "train", 0))
    return found


def pairs_of(folder: Path, images: list[Image.Image]) -> list[tuple[int, int]]:
    return near_duplicate_pairs(fingerprint(pictures_of(folder, images), workers=2))


def test_fingerprint_hashes_and_finds_the_corrupt(tmp_path: Path) -> None:
    pictures = pictures_of(tmp_path, [lesion(0), lesion(1), lesion(2)])
    content = pictures[1].path.read_bytes()
    pictures[1].path.write_bytes(content[: len(content) // 2])
    pictures[2].path.write_text("no picture at all, but some text")
    pictures.append(replace(pictures[0], path=tmp_path / "gone.jpg"))
    prints = fingerprint(pictures, workers=2)
    assert prints.content_hashes[0] == hashlib.sha256(pictures[0].path.read_bytes()).hexdigest()
    assert prints.content_hashes[3] == ""
    assert [index for index, _ in prints.corrupt] == [1, 2, 3]
    assert all(reason for _, reason in prints.corrupt)
    assert prints.thumbnails.shape == (4, 64, 64)
    assert prints.thumbnails[0].std() > 10
    assert not prints.thumbnails[1:].any()


def test_subset_keeps_rows_together(tmp_path: Path) -> None:
    pictures = pictures_of(tmp_path, [lesion(seed) for seed in range(3)])
    pictures[2].path.write_bytes(b"")
    prints = fingerprint(pictures, workers=1)
    part = prints.subset([2, 0])
    assert part.content_hashes == (prints.content_hashes[2], prints.content_hashes[0])
    assert part.corrupt == ((0, prints.corrupt[0][1]),)
    assert np.array_equal(part.thumbnails[1], prints.thumbnails[0])


def test_recompressed_resized_squashed_and_lit_otherwise(tmp_path: Path) -> None:
    one = lesion(1)
    copies = [one.resize((150, 150)), one.resize((320, 240)), ImageEnhance.Brightness(one).enhance(0.8)]
    found = pairs_of(tmp_path, [one, *copies, lesion(2)])
    assert found == [(i, j) for i in range(4) for j in range(i + 1, 4)]


@pytest.mark.parametrize("crop", [(0.75, 1.0), (1.0, 0.75), (0.9, 0.9), (0.84, 0.86), (0.75, 0.75)])
def test_crops_match_the_whole_either_way_round(tmp_path: Path, crop: tuple[float, float]) -> None:
    one = lesion(1)
    squashed = one.resize((150, 150))
    assert pairs_of(tmp_path, [squashed, centre(one, *crop), lesion(2), lesion(3)]) == [(0, 1)]
    assert pairs_of(tmp_path, [centre(one, *crop), squashed]) == [(0, 1)]


def test_a_crop_beside_the_centre_matches(tmp_path: Path) -> None:
    one = lesion(1)
    beside = one.resize((150, 150), box=(0.145 * 240, 0, 0.895 * 240, 180))  # 75 % of the width, 2 % to the right
    assert pairs_of(tmp_path, [one.resize((150, 150)), beside]) == [(0, 1)]


def test_different_lesions_are_not_paired(tmp_path: Path) -> None:
    assert pairs_of(tmp_path, [lesion(seed) for seed in range(25)]) == []


def test_a_shared_ring_does_not_pair_but_is_seen_through(tmp_path: Path) -> None:
    images = [ringed(lesion(seed)) for seed in range(12)]
    assert pairs_of(tmp_path, [*images, ringed(lesion(3)).resize((180, 180))]) == [(3, 12)]


def test_flat_pictures_pair_only_when_identical(tmp_path: Path) -> None:
    flat = [Image.new("RGB", (64, 64), (level, level, level)) for level in (120, 121, 120)]
    slope = np.linspace(118, 122, 64).astype(np.uint8)  # the light falls off alike; nothing else is there to see
    flat += [Image.fromarray(np.tile(slope + offset, (64, 1))) for offset in (0, 5)]
    assert pairs_of(tmp_path, flat) == [(0, 2)]


def test_no_pictures_no_pairs() -> None:
    assert near_duplicate_pairs(fingerprint([], workers=1)) == []


def picture(name: str, source: str = "a", content: str = "", **columns: str) -> Picture:
    return Picture(Path("/", source, name), name, source, "train", 0, columns, content_hash=content)


def test_groups_join_pairs_content_lesions_patients_and_same_as() -> None:
    pictures = [
        picture("0", lesion_id="L"),
        picture("1", lesion_id="L"),
        picture("2", source="b", lesion_id="L"),  # another source's numbering
        picture("3", content="same"),
        picture("4", source="b", content="same"),
        picture("5", patient_id="P"),
        picture("6", patient_id="P"),
        picture("7", source="b", same_as="a/6"),
        picture("8", source="b", same_as="a/not here", lesion_id=""),
        picture("9", source="b", lesion_id=""),
        picture("10"),
    ]
    names = group_pictures(pictures, links_between(pictures, [(1, 10)]))
    assert names == ["a/0", "a/0", "b/2", "a/3", "a/3", "a/5", "a/5", "a/5", "b/8", "b/9", "a/0"]


def test_group_names_do_not_depend_on_order() -> None:
    pictures = [picture(str(index)) for index in range(6)]
    pairs = [(0, 4), (4, 5), (1, 2)]
    forward = dict(
        zip([p.file for p in pictures], group_pictures(pictures, links_between(pictures, pairs)), strict=True)
    )
    turned = [(5 - i, 5 - j) for i, j in pairs]
    backward = group_pictures(pictures[::-1], links_between(pictures[::-1], turned))
    assert [forward[p.file] for p in pictures[::-1]] == backward


@pytest.mark.data
def test_known_pairs_of_the_real_sets_are_found(data_root: Path) -> None:
    with (data_root / "ham10000" / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["same_as"]][::5]
    whole = [Picture(data_root / row["same_as"], row["same_as"], "melanoma10k", "train", 1) for row in rows]
    cropped = [Picture(data_root / "ham10000" / row["file"], row["file"], "ham10000", "train", 1) for row in rows]
    lesions = [row["lesion_id"] for row in rows] * 2
    found = near_duplicate_pairs(fingerprint([*whole, *cropped], workers=2))
    known = {(index, index + len(rows)) for index in range(len(rows))}
    assert len(known & set(found)) >= 0.99 * len(known)
    assert all(lesions[i] == lesions[j] for i, j in found)
