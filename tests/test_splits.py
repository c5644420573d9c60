"""Splits: no group on two sides, fair shares, the same again from a seed or a file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lesion_demo.errors import DataError
from lesion_demo.learning.folders import Picture, scan
from lesion_demo.learning.split_file import SPLIT_HEADER, read_split, write_split
from lesion_demo.learning.splits import Splits, make_splits, prepare_splits


def made(count: int, label: int, split: str = "train", source: str = "a", per_lesion: int = 1) -> list[Picture]:
    """Pictures that exist on paper only; every `per_lesion` of them show one lesion."""
    return [
        Picture(
            Path("/", source, f"{split}{label}-{index}"),
            f"{split}{label}-{index}",
            source,
            split,
            label,
            {"lesion_id": f"{split}{label}-{index // per_lesion}"},
            content_hash=f"{source}{split}{label}-{index}",
        )
        for index in range(count)
    ]


def mixed() -> tuple[list[Picture], list[tuple[int, int]]]:
    """Two sources with singles, pairs and triples, 60 pictures of which stand in both; and a test split."""
    pictures = made(300, 0) + made(200, 1) + made(150, 0, source="b", per_lesion=3) + made(100, 1, source="b")
    pictures += made(40, 0, "test") + made(40, 1, "test")
    pairs = [(300 + k, 650 + k) for k in range(60)]  # malignant of a and b
    pairs += [(750 + k, 10 * k) for k in range(4)]  # benign test and benign train of a
    return pictures, pairs


def sides(splits: Splits) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for picture in splits.pictures:
        found[picture.group].add(picture.split)
    return found


def test_no_group_stands_on_two_sides_and_every_picture_is_somewhere() -> None:
    pictures, pairs = mixed()
    splits = make_splits(pictures, pairs, val_fraction=0.2, seed=0)
    assert all(len(found) == 1 for found in sides(splits).values())
    assert sorted(p.name for p in (*splits.pictures, *splits.dropped)) == sorted(p.name for p in pictures)
    assert {p.name for p in splits.of("test")} == {p.name for p in pictures if p.split == "test"}
    spanning = {p.group for p in splits.of("val") if p.source == "b" and p.label == 1 and p.group.startswith("a/")}
    assert 6 <= len(spanning) <= 18  # a fifth of the 60 that stand in both sources


@pytest.mark.parametrize("seed", range(5))
def test_validation_takes_its_share_of_each_source_and_class(seed: int) -> None:
    pictures, pairs = mixed()
    splits = make_splits(pictures, pairs, val_fraction=0.2, seed=seed)
    counts = Counter((p.source, p.label, p.split) for p in splits.pictures)
    for source, label in (("a", 0), ("a", 1), ("b", 0), ("b", 1)):
        train, val = counts[source, label, "train"], counts[source, label, "val"]
        assert val / (train + val) == pytest.approx(0.2, abs=0.02)


def test_training_pictures_that_repeat_test_are_dropped_and_counted() -> None:
    pictures, pairs = mixed()
    splits = make_splits(pictures, pairs, val_fraction=0.2, seed=0)
    assert {p.file for p in splits.dropped} == {"train0-0", "train0-10", "train0-20", "train0-30"}
    assert {p.split for p in splits.dropped} == {"dropped"}
    assert {p.file for p in splits.pictures if p.near_duplicate_of_train} == {f"test0-{k}" for k in range(4)}
    assert "4 pictures dropped" in splits.summary()
    assert "4 test pictures have a near-duplicate in a train folder" in splits.summary()


def test_lesion_mates_of_a_test_picture_are_dropped_too() -> None:
    pictures = made(30, 0) + made(30, 1, per_lesion=3) + made(5, 0, "test") + made(5, 1, "test", source="b")
    splits = make_splits(pictures, [(30, 65)], val_fraction=0.1, seed=0)
    assert {p.file for p in splits.dropped} == {"train1-0", "train1-1", "train1-2"}


def test_a_val_folder_is_kept_and_cleaned() -> None:
    pictures = made(50, 0) + made(50, 1) + made(10, 0, "val") + made(10, 1, "val") + made(5, 1, "test")
    pictures += made(40, 0, source="b") + made(40, 1, source="b")
    val, test, other = 100, 120, 125
    pairs = [(0, val), (other, val + 1), (val + 10, test), *((k, other + k) for k in range(1, 20))]
    splits = make_splits(pictures, pairs, val_fraction=0.25, seed=3)
    assert Counter((p.source, p.split) for p in splits.pictures) == {
        ("a", "train"): 99,
        ("a", "val"): 19,
        ("a", "test"): 5,
        ("b", "train"): 59,
        ("b", "val"): 20,
    }
    assert {p.name for p in splits.dropped} == {"a/train0-0", "b/train0-0", "a/val1-0"}
    assert {p.name for p in splits.of("val") if p.near_duplicate_of_train} == {"a/val0-0", "a/val0-1"}
    assert all(len(found) == 1 for found in sides(splits).values())


def test_seed_decides_and_order_does_not() -> None:
    pictures, pairs = mixed()
    pairs = [(j, i) for i, j in pairs]

    def val(seed: int, order: list[int]) -> set[str]:
        place = {old: new for new, old in enumerate(order)}
        turned = [(place[i], place[j]) for i, j in pairs]
        return {
            p.name for p in make_splits([pictures[i] for i in order], turned, val_fraction=0.2, seed=seed).of("val")
        }

    plain = list(range(len(pictures)))
    assert val(0, plain) == val(0, plain[::-1])
    assert val(0, plain) != val(1, plain)


def test_split_does_not_depend_on_the_process() -> None:
    """Sets of strings come in another order in every process; the split must not follow it."""
    code = (
        "from tests.test_splits import made\nfrom lesion_demo.learning.splits import make_splits\n"
        # Lesions of 1, 2, 3, … pictures: drawn by chance, they overshoot the target, and some are put back.
        "pictures = made(66, 0) + made(66, 1)\n"
        "pairs = [(66 * c + k, 66 * c + k + 1) for c in (0, 1) for k in range(65) if k not in"
        " {n * (n + 1) // 2 - 1 for n in range(12)}]\n"
        "print([sorted(p.name for p in make_splits(pictures, pairs, val_fraction=f / 10, seed=s).of('val'))"
        " for s in range(20) for f in (2, 5, 7)])"
    )
    root = Path(__file__).resolve().parent.parent
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("per_lesion", [1, 2, 3])
def test_six_pictures_per_class_give_each_side_one(fraction: float, per_lesion: int) -> None:
    for seed in range(10):
        pictures = made(6, 0, per_lesion=per_lesion) + made(6, 1, per_lesion=per_lesion)
        splits = make_splits(pictures, [], val_fraction=fraction, seed=seed)
        assert {(p.split, p.label) for p in splits.pictures} == {(s, k) for s in ("train", "val") for k in (0, 1)}


@pytest.mark.parametrize("pictures", [made(1, 0) + made(6, 1), made(6, 0) + made(6, 1, per_lesion=6)])
def test_too_few_to_split_is_an_error(pictures: list[Picture]) -> None:
    with pytest.raises(DataError, match="pictures are left for"):
        make_splits(pictures, [], val_fraction=0.2, seed=0)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 10.0])
def test_validation_share_is_checked(fraction: float) -> None:
    with pytest.raises(DataError, match="validation share"):
        make_splits(made(6, 0) + made(6, 1), [], val_fraction=fraction, seed=0)


def test_contradicting_labels_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    make_splits(made(6, 0) + made(6, 1), [(0, 6)], val_fraction=0.2, seed=0)
    assert "1 near-duplicate pairs disagree" in caplog.text


# --- real files ------------------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Eight pictures of noise per class; train/benign/0 comes again, recompressed, as test/benign/0."""
    root = tmp_path / "data"
    generator = np.random.default_rng(0)
    for split, count in (("train", 8), ("test", 2)):
        for name in ("benign", "malignant"):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                small = Image.fromarray(generator.integers(0, 256, (12, 12, 3), dtype=np.uint8))
                small.resize((64, 64)).save(folder / f"{index}.png")
    with Image.open(root / "train/benign/0.png") as image:
        image.save(root / "test/benign/0.jpg", quality=80)
    return root


def test_prepare_finds_what_repeats(data: Path) -> None:
    splits = prepare_splits([data], val_fraction=0.25, seed=0)
    assert [p.file for p in splits.dropped] == ["train/benign/0.png"]
    assert [p.file for p in splits.pictures if p.near_duplicate_of_train] == ["test/benign/0.jpg"]
    assert Counter((p.split, p.label) for p in splits.pictures) == {
        ("train", 0): 5,
        ("val", 0): 2,
        ("test", 0): 3,
        ("train", 1): 6,
        ("val", 1): 2,
        ("test", 1): 2,
    }
    assert all(len(p.content_hash) == 64 and p.group for p in splits.pictures)


def test_corrupt_pictures_stop_or_are_left_out(data: Path) -> None:
    broken = data / "test/benign/1.png"
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(DataError, match=r"(?s)1 picture could not be decoded: .*1\.png \(.*--skip-corrupt"):
        prepare_splits([data])
    splits = prepare_splits([data], skip_corrupt=True)
    assert [p.file for p, _ in splits.corrupt] == ["test/benign/1.png"]
    assert "test/benign/1.png" not in {p.file for p in splits.pictures}
    # The corrupt one lies between the two that repeat: rows must still belong to their pictures.
    assert [p.file for p in splits.dropped] == ["train/benign/0.png"]
    assert "1 corrupt pictures skipped" in splits.summary()


def test_split_file_gives_the_same_split_wherever_the_data_lies(data: Path, tmp_path: Path) -> None:
    (data / "train/malignant/7.png").write_bytes(b"broken")
    splits = prepare_splits([data], val_fraction=0.25, skip_corrupt=True)
    path = tmp_path / "run" / "split.csv"
    write_split(path, splits)
    assert read_split(path, [data]).pictures == splits.pictures
    assert list(path.parent.iterdir()) == [path]
    (tmp_path / "moved").mkdir()
    moved = data.rename(tmp_path / "moved" / "data")
    again = read_split(path, [moved])
    assert [replace(p, path=Path()) for p in again.pictures] == [replace(p, path=Path()) for p in splits.pictures]
    assert [p.file for p in again.dropped] == [p.file for p in splits.dropped]
    assert [p.file for p, _ in again.corrupt] == ["train/malignant/7.png"]


def test_split_file_keeps_the_diagnosis(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    root = tmp_path / "a"
    root.mkdir()
    files = [root / "0.png", root / "1.png"]
    rows = ["file,split,label,dx,age"]
    for label, file in enumerate(files):
        Image.fromarray(np.random.default_rng(label).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(file)
        rows.append(f"{file.name},train,{('benign', 'malignant')[label]},dx{label},50")
    (root / "manifest.csv").write_text("\n".join(rows), encoding="utf-8")
    pictures = [replace(p, content_hash="") for p in scan([root])]
    write_split(path, Splits((), tuple(replace(p, split="dropped") for p in pictures)))
    assert [dict(p.columns)["dx"] for p in read_split(path, [root]).dropped] == ["dx0", "dx1"]


def test_write_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text("before", encoding="utf-8")
    bad = replace(made(1, 0)[0], label=5)
    with pytest.raises(IndexError):
        write_split(path, Splits((*made(3, 0), bad)))
    assert path.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_changed_and_foreign_data_are_named(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    write_split(path, prepare_splits([data]))
    victim = data / "train/malignant/5.png"
    content = victim.read_bytes()
    victim.write_bytes(content + b"x")
    with pytest.raises(DataError, match=r"malignant/5\.png has changed"):
        read_split(path, [data])
    victim.unlink()
    with pytest.raises(DataError, match=r"malignant/5\.png.* could not be read"):
        read_split(path, [data])
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(DataError, match="made with a data set folder 'data'"):
        read_split(path, [other])


HEADER = ",".join(SPLIT_HEADER).encode()


@pytest.mark.parametrize(
    "content",
    [None, b"", b"source,file\ndata,a.png\n", b"\xff\xfe\x00", HEADER + b"\ndata,train/benign", HEADER + b"\ndata\n"],
)
def test_a_file_that_is_no_split_file(data: Path, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "split.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"split\.csv could not be read as a split file"):
        read_split(path, [data])
