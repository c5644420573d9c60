"""Splits: no group on two sides, fair shares, the same again from a seed or a file."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lesion_demo.data.folders import scan
from lesion_demo.data.held_out import Shares
from lesion_demo.data.picture import Picture
from lesion_demo.data.split_file import SPLIT_HEADER, read_split, write_split
from lesion_demo.data.splits import Splits, make_splits, prepare_splits
from lesion_demo.errors import DataError


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
    splits = make_splits(pictures, pairs, Shares(0.2, seed=0))
    assert all(len(found) == 1 for found in sides(splits).values())
    assert sorted(p.name for p in (*splits.pictures, *splits.dropped)) == sorted(p.name for p in pictures)
    assert {p.name for p in splits.of("test")} == {p.name for p in pictures if p.split == "test"}
    spanning = {p.group for p in splits.of("val") if p.source == "b" and p.label == 1 and p.group.startswith("a/")}
    assert 6 <= len(spanning) <= 18  # a fifth of the 60 that stand in both sources


@pytest.mark.parametrize("seed", range(5))
def test_validation_takes_its_share_of_each_source_and_class(seed: int) -> None:
    pictures, pairs = mixed()
    splits = make_splits(pictures, pairs, Shares(0.2, seed=seed))
    counts = Counter((p.source, p.label, p.split) for p in splits.pictures)
    for source, label in (("a", 0), ("a", 1), ("b", 0), ("b", 1)):
        train, val = counts[source, label, "train"], counts[source, label, "val"]
        assert val / (train + val) == pytest.approx(0.2, abs=0.13)  # 50 groups or more: 0.2 ± 0.057
    assert len(splits.of("val")) / (len(splits.of("val")) + len(splits.of("train"))) == pytest.approx(0.2, abs=0.06)


def test_training_pictures_that_repeat_test_are_dropped_and_counted() -> None:
    pictures, pairs = mixed()
    splits = make_splits(pictures, pairs, Shares(0.2, seed=0))
    assert {p.file for p in splits.dropped} == {"train0-0", "train0-10", "train0-20", "train0-30"}
    assert {p.split for p in splits.dropped} == {"dropped"}
    assert {p.file for p in splits.pictures if p.near_duplicate_of_train} == {f"test0-{k}" for k in range(4)}
    assert "4 pictures dropped: 4 × a near-duplicate. The first: a/train0-0, a near-duplicate of the test picture " in (
        splits.summary()
    )
    assert "4 test pictures have a near-duplicate in a train folder" in splits.summary()


def test_lesion_mates_of_a_test_picture_are_dropped_too() -> None:
    pictures = made(30, 0) + made(30, 1, per_lesion=3) + made(5, 0, "test") + made(5, 1, "test", source="b")
    splits = make_splits(pictures, [(30, 65)], Shares(0.1, seed=0))
    assert {p.file: p.reason for p in splits.dropped} == {
        "train1-0": "a near-duplicate of the test picture b/test1-0",
        "train1-1": "the same lesion as a/train1-0, a near-duplicate of the test picture b/test1-0",
        "train1-2": "the same lesion as a/train1-0, a near-duplicate of the test picture b/test1-0",
    }
    assert "1 × a near-duplicate" in splits.summary()
    assert "2 × the same lesion" in splits.summary()


def test_the_log_says_how_many_lesions_and_patients_keep_pictures_together(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    pictures = made(60, 0, per_lesion=3) + made(60, 1, per_lesion=3)
    for index, one in enumerate(pictures):
        ids = {"lesion_id": "", "patient_id": "anon"} if index < 40 else dict(one.columns)
        pictures[index] = replace(one, columns=ids)
    make_splits(pictures, [], Shares(0.2))
    assert "a: 80 of 120 pictures have a lesion_id; they are of 27 lesions." in caplog.text
    assert "a: 40 of 120 pictures have a patient_id; they are of 1 patient." in caplog.text
    assert "40 of 120 pictures have the patient_id 'anon' and stay together; if it means" in caplog.text


def test_the_reason_stays_in_the_split_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    dropped = replace(made(1, 0)[0], split="dropped", reason="the same patient as the test picture a/x")
    write_split(tmp_path / "split.csv", Splits((), (dropped,)))
    assert read_split(tmp_path / "split.csv", [tmp_path / "a"]).dropped[0].reason == dropped.reason
    lines = (tmp_path / "split.csv").read_text(encoding="utf-8").splitlines()
    older = "\n".join(",".join(line.split(",")[:-1]) for line in lines)  # as files were before
    (tmp_path / "split.csv").write_text(older, encoding="utf-8")
    assert read_split(tmp_path / "split.csv", [tmp_path / "a"]).dropped[0].reason == ""


def test_a_val_folder_is_kept_and_cleaned() -> None:
    pictures = made(50, 0) + made(50, 1) + made(10, 0, "val") + made(10, 1, "val") + made(5, 1, "test")
    pictures += made(40, 0, source="b") + made(40, 1, source="b")
    val, test, other = 100, 120, 125
    pairs = [(0, val), (other, val + 1), (val + 10, test), *((k, other + k) for k in range(1, 20))]
    splits = make_splits(pictures, pairs, Shares(0.25, seed=3))
    counts = Counter((p.source, p.split) for p in splits.pictures)
    assert [counts["a", split] for split in ("train", "val", "test")] == [99, 19, 5]
    assert counts["b", "train"] + counts["b", "val"] == 79
    assert 10 <= counts["b", "val"] <= 30  # a quarter of the 60 that do not stand in a, too
    assert {p.name for p in splits.dropped} == {"a/train0-0", "b/train0-0", "a/val1-0"}
    assert {p.name for p in splits.of("val") if p.near_duplicate_of_train} == {"a/val0-0", "a/val0-1"}
    assert all(len(found) == 1 for found in sides(splits).values())


def val_names(pictures: list[Picture], pairs: list[tuple[int, int]], shares: Shares, **more: Any) -> set[str]:
    return {picture.name for picture in make_splits(pictures, pairs, shares, **more).of("val")}


def test_the_seed_decides_and_the_order_within_a_data_set_does_not() -> None:
    pictures, pairs = mixed()
    order = sorted(range(len(pictures)), key=lambda index: (pictures[index].source, -index))
    place = {old: new for new, old in enumerate(order)}
    turned = [(place[j], place[i]) for i, j in pairs]
    assert val_names(pictures, pairs, Shares(0.2)) == val_names([pictures[i] for i in order], turned, Shares(0.2))
    assert val_names(pictures, pairs, Shares(0.2)) != val_names(pictures, pairs, Shares(0.2, seed=1))


def test_another_data_set_moves_nobody() -> None:
    """Not even those whose lesion it shows, too: the first-named data set's picture decides."""
    pictures = made(300, 0) + made(300, 1, per_lesion=2)
    before = val_names(pictures, [], Shares(0.2))
    more = made(200, 0, source="b") + made(200, 1, source="b", per_lesion=4)
    pairs = [(k, 600 + k) for k in range(100)] + [(300 + 2 * k, 800 + 4 * k) for k in range(50)]
    after = make_splits(pictures + more, pairs, Shares(0.2))
    assert {p.name for p in after.of("val") if p.source == "a"} == before
    assert all(len(found) == 1 for found in sides(after).values())
    # Nor does more of the same data.
    grown = made(400, 0) + made(300, 1, per_lesion=2)
    assert before < val_names(grown, [], Shares(0.2)) | {"none"}
    # Nor a larger share: it only takes more.
    assert before < val_names(pictures, [], Shares(0.3))


def test_a_data_set_may_hold_out_another_share() -> None:
    pictures = made(500, 0) + made(500, 1) + made(500, 0, source="b") + made(500, 1, source="b")
    pairs = [(500 + k, 1500 + k) for k in range(300)]  # malignant lesions of b that a shows, too
    splits = make_splits(pictures, pairs, Shares(0.1, {"b": 0.3}))
    counts = Counter((p.source, p.label, p.split) for p in splits.pictures)
    for source, label, share in (("a", 0, 0.1), ("b", 0, 0.3), ("b", 1, 0.3)):
        found = counts[source, label, "val"] / 500
        assert found == pytest.approx(share, abs=0.06)
    assert all(len(found) == 1 for found in sides(splits).values())
    with pytest.raises(DataError, match=r"validation share of b is 1\.5"):
        Shares(0.1, {"b": 1.5})


def test_every_class_is_on_each_side_though_groups_mix_classes() -> None:
    for seed in range(20):
        pictures = made(8, 0) + made(8, 1)
        splits = make_splits(pictures, [(k, 8 + k) for k in range(4)], Shares(0.02, seed=seed))
        assert {(p.split, p.label) for p in splits.pictures} == {(s, k) for s in ("train", "val") for k in (0, 1)}


# --- going on from a checkpoint --------------------------------------------------------------------------------------


def test_what_a_checkpoint_learnt_from_is_not_held_out_and_what_it_held_out_stays_so() -> None:
    pictures = made(100, 0) + made(100, 1) + made(20, 0, "test") + made(20, 1, "test")
    first = make_splits(pictures, [], Shares(0.2))
    earlier = {p.content_hash: p.split for p in first.pictures}
    more = made(100, 0, source="b") + made(100, 1, source="b")
    for seed in range(5):
        second = make_splits(pictures + more, [], Shares(0.2, seed=seed), earlier=earlier)
        assert {p.name: p.split for p in second.pictures if p.source == "a"} == {
            p.name: p.split for p in first.pictures
        }
        assert 20 <= sum(p.source == "b" for p in second.of("val")) <= 60


def test_whole_groups_follow_what_the_checkpoint_knows() -> None:
    pictures = made(40, 0) + made(40, 1) + made(10, 0, source="b", per_lesion=2) + made(10, 1, "test", source="b")
    known = {0: "train", 1: "val", 2: "test", 40: "train"}
    pairs = [(0, 80), (1, 82), (2, 84), (40, 90)]  # each with a new picture, the last with a new test picture
    earlier = {pictures[index].content_hash: side for index, side in known.items()}
    splits = make_splits(pictures, pairs, Shares(0.2), earlier=earlier)
    side = {p.name: p.split for p in splits.pictures}
    assert {side[p.name] for p in (pictures[0], *pictures[80:82], pictures[40])} == {"train"}
    assert {side[p.name] for p in (pictures[1], *pictures[82:84])} == {"val"}
    assert side[pictures[2].name] == "test"
    reasons = {p.name: p.reason for p in splits.dropped}
    assert reasons["b/train0-4"] == "a near-duplicate of the test picture a/train0-2"
    assert reasons["b/train0-5"] == "the same lesion as b/train0-4, a near-duplicate of the test picture a/train0-2"
    assert reasons["b/test1-0"] == "a near-duplicate of the earlier training picture a/train1-0"
    assert len(reasons) == 3


# --- odds and ends ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("per_lesion", [1, 2, 3])
def test_six_pictures_per_class_give_each_side_one(fraction: float, per_lesion: int) -> None:
    for seed in range(10):
        pictures = made(6, 0, per_lesion=per_lesion) + made(6, 1, per_lesion=per_lesion)
        splits = make_splits(pictures, [], Shares(fraction, seed=seed))
        assert {(p.split, p.label) for p in splits.pictures} == {(s, k) for s in ("train", "val") for k in (0, 1)}


@pytest.mark.parametrize("pictures", [made(1, 0) + made(6, 1), made(6, 0) + made(6, 1, per_lesion=6)])
def test_too_few_to_split_is_an_error(pictures: list[Picture]) -> None:
    with pytest.raises(DataError, match="pictures are left for"):
        make_splits(pictures, [], Shares(0.2, seed=0))


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 10.0])
def test_validation_share_is_checked(fraction: float) -> None:
    with pytest.raises(DataError, match="validation share"):
        make_splits(made(6, 0) + made(6, 1), [], Shares(fraction, seed=0))


def test_contradicting_labels_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    make_splits(made(6, 0) + made(6, 1), [(0, 6)], Shares(0.2, seed=0))
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
    splits = prepare_splits([data], shares=Shares(0.25))
    assert [p.file for p in splits.dropped] == ["train/benign/0.png"]
    assert [p.file for p in splits.pictures if p.near_duplicate_of_train] == ["test/benign/0.jpg"]
    counts = Counter((p.split, p.label) for p in splits.pictures)
    assert (counts["test", 0], counts["test", 1]) == (3, 2)
    assert (counts["train", 0] + counts["val", 0], counts["train", 1] + counts["val", 1]) == (7, 8)
    assert min(counts.values()) >= 1
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
    splits = prepare_splits([data], shares=Shares(0.25), skip_corrupt=True)
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
