"""One walk for every command: what it takes for a picture, and how it tells of the rest."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from lesion_demo.images.files import picture_files, why_skipped


@pytest.mark.parametrize(
    "name",
    [
        *("._x.jpg", "__MACOSX/x.jpg", "a/__MACOSX/x.jpg", ".Trashes/501/x.jpg", "@eaDir/x.jpg/SYNOPHOTO_THUMB_M.jpg"),
        *("Thumbs.db", "$RECYCLE.BIN/x.jpg", "ISIC_0000001_superpixels.png", "ISIC_0000001_Segmentation.PNG"),
        *("ISIC_0000001_attribute_pigment_network.png", "x.jxl", "x.nef", "x.txt", "x"),
    ],
)
def test_what_is_no_picture_of_a_lesion_is_passed_over(name: str) -> None:
    assert why_skipped(PurePosixPath(name))


@pytest.mark.parametrize(
    "name", ["x.jpg", "a/b/x.PNG", "x.DCM", "../x.heic", "/x.tif", "@home.jpg", "segmentation.png", "a.b/x.jpg"]
)
def test_what_is_a_picture_is_taken(name: str) -> None:
    assert not why_skipped(PurePosixPath(name))


def test_pipes_are_not_opened_and_links_to_nothing_are_reported_by_the_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self").symlink_to(tmp_path)
    found = picture_files(tmp_path)
    assert [path.name for path in found.pictures] == ["gone.jpg"]
    assert found.skipped == {"pipe, socket or device": 1, "link to a folder that was searched already": 1}
    assert "Skipped in " in found.in_words()


def test_a_hidden_place_may_hold_pictures_all_the_same(tmp_path: Path) -> None:
    """Only what lies below the folder that a person named is the system's."""
    folder = tmp_path / ".cache" / "@eaDir"
    folder.mkdir(parents=True)
    (folder / "x.jpg").touch()
    assert [path.name for path in picture_files(folder).pictures] == ["x.jpg"]
    assert picture_files(folder).in_words() == ""
