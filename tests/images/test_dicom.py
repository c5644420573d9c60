"""DICOM files of photographs and dermoscopic pictures, made here by pydicom; and that nothing else of them is kept."""

from __future__ import annotations

import csv
import json
import logging
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PROJECT
from dicom_files import PATIENT, SECRETS, dicom
from fake_analyzer import FakeAnalyzer
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import convert_color_space
from pydicom.uid import (
    JPEG2000,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
)
from test_loading import CORNERS, HEIGHT, WIDTH, assert_quarters, encoded, quarters
from test_loading_limits import progressive

from lesion_demo.__main__ import main
from lesion_demo.config import OperatingPoint
from lesion_demo.errors import ImageError
from lesion_demo.images.load import MAX_SCANS, load_image, load_picture
from lesion_demo.images.phantom import render_phantom
from lesion_demo.serve.batch import BatchItem, ReportArchive, analyze_batch
from lesion_demo.serve.report import report_json
from lesion_demo.texts import load_texts
from lesion_demo.web.picture import needs_preview

POINT = OperatingPoint("sensitive", 0.3)


def packed(frames: list[bytes], syntax: str, photometric: str, **elements: Any) -> bytes:
    """The same of files of JPEG or JPEG 2000."""
    if len(frames) > 1:
        elements["NumberOfFrames"] = len(frames)
    return dicom(None, syntax, PixelData=encapsulate(frames), PhotometricInterpretation=photometric, **elements)


def told(*texts: str) -> None:
    for text in texts:
        for secret in SECRETS:
            assert secret not in text, secret


def ybr(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(convert_color_space(pixels, "RGB", "YBR_FULL"), np.uint8)


def halved(pixels: NDArray[np.uint8]) -> bytes:
    """YBR_FULL_422, as it is stored without compression: two of brightness share the colour of the first."""
    pairs = pixels.reshape(-1, 2, 3)
    return np.stack([pairs[:, 0, 0], pairs[:, 1, 0], pairs[:, 0, 1], pairs[:, 0, 2]], axis=1).tobytes()


JPEG, J2K = encoded(quarters(), "JPEG", quality=95), encoded(quarters(), "JPEG2000")
Q = np.asarray(quarters())
READ = {
    "explicit": dicom(),
    "implicit": dicom(syntax=ImplicitVRLittleEndian),
    "planes": dicom(PixelData=np.ascontiguousarray(Q.transpose(2, 0, 1)).tobytes(), PlanarConfiguration=1),
    "YBR": dicom(ybr(Q), PhotometricInterpretation="YBR_FULL"),
    "YBR 4:2:2": dicom(PixelData=halved(ybr(Q)), PhotometricInterpretation="YBR_FULL_422"),
    "JPEG": packed([JPEG], JPEGBaseline8Bit, "YBR_FULL_422"),
    "JPEG 4:4:4": packed([encoded(quarters(), "JPEG", quality=95, subsampling=0)], JPEGBaseline8Bit, "YBR_FULL"),
    "JPEG of RGB": packed([encoded(quarters(), "JPEG", quality=95, keep_rgb=True)], JPEGBaseline8Bit, "RGB"),
    "JPEG 2000": packed([encoded(quarters(), "JPEG2000", irreversible=True)], JPEG2000, "YBR_ICT"),
    "JPEG 2000 without loss": packed([J2K], JPEG2000Lossless, "YBR_RCT"),
    "JPEG 2000 of RGB": packed([encoded(quarters(), "JPEG2000", mct=0)], JPEG2000Lossless, "RGB"),
    "photograph": dicom(Modality="XC"),
    "sent on": dicom(Modality="OT"),
    "without a modality": dicom(Modality=""),
}


@pytest.mark.parametrize("kind", READ)
def test_it_is_read_in_its_colours(kind: str) -> None:
    found = load_picture(READ[kind])
    assert_quarters(found.pixels)
    assert not found.first_of_several


@pytest.mark.parametrize("kind", ["plain", "JPEG", "JPEG 2000"])
def test_the_first_of_several_frames(kind: str) -> None:
    white = Image.new("RGB", (WIDTH, HEIGHT), "white")
    several = {
        "plain": dicom(PixelData=Q.tobytes() + np.asarray(white).tobytes(), NumberOfFrames=2),
        "JPEG": packed([JPEG, encoded(white, "JPEG")], JPEGBaseline8Bit, "YBR_FULL_422"),
        "JPEG 2000": packed([J2K, encoded(white, "JPEG2000")], JPEG2000Lossless, "YBR_RCT"),
    }
    found = load_picture(several[kind])
    assert_quarters(found.pixels)
    assert found.first_of_several


def test_a_file_that_begins_like_a_tiff_is_read_as_dicom(tmp_path: Path) -> None:
    """Some are both at once, for programs that know TIFF alone."""
    both = encoded(Image.new("RGB", (8, 8)), "TIFF")[:128].ljust(128, b"\0") + dicom()[128:]
    assert_quarters(load_image(both))
    (tmp_path / "both.tif").write_bytes(both)
    assert needs_preview(str(tmp_path / "both.tif"))


def test_the_profile_in_it_counts() -> None:
    from test_loading import ImageCms, _with_linear_curves

    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    linear = _with_linear_curves(srgb)
    pixels = load_image(dicom(np.full((40, 40, 3), 55, np.uint8), ICCProfile=linear + bytes(len(linear) % 2)))
    np.testing.assert_allclose(pixels[0, 0], 128, atol=3)


GREY: dict[str, Any] = {
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "PixelData": Q[..., 0].tobytes(),
}
OTHERS = {
    "CT": dicom(Modality="CT", SOPClassUID=CTImageStorage, **GREY),
    "grey": dicom(**GREY),
    "ultrasound in colour": dicom(Modality="US"),
    "slide": dicom(Modality="SM"),
    "deep": dicom(np.repeat(Q, 2, axis=1), Columns=WIDTH, BitsAllocated=16, BitsStored=12),
    "palette": dicom(**(GREY | {"PhotometricInterpretation": "PALETTE COLOR"})),
    "patient's name for a modality": dicom(Modality=PATIENT.upper()),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_kinds_get_a_sentence(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.dcm"
    path.write_bytes(OTHERS[kind])
    with pytest.raises(ImageError) as caught:
        load_image(path)
    assert str(caught.value) == (
        "“x.dcm” is a DICOM file, but no photograph or dermoscopic picture with 8 bits of red, green and blue; other "
        "kinds, such as CT, MR or X-ray pictures, cannot be judged here."
    )


def test_what_is_packed_otherwise_is_not_unpacked() -> None:
    """One way is a zip of the whole file: a few bytes may become many gigabytes."""
    for data in (dicom(syntax=DeflatedExplicitVRLittleEndian), packed([JPEG], JPEGLosslessSV1, "RGB")):
        with pytest.raises(ImageError, match="packed in a way that is not read here; please export it as JPEG or PNG"):
            load_image(data)


def test_limits_hold_for_what_is_inside() -> None:
    with pytest.raises(ImageError, match="too large"):
        load_image(dicom(Rows=40_000, Columns=40_000))
    with pytest.raises(ImageError, match="damaged"):  # the header says one size, what is compressed another
        load_image(packed([encoded(Image.new("RGB", (4000, 4000)), "JPEG")], JPEGBaseline8Bit, "YBR_FULL"))
    many = packed([progressive(MAX_SCANS + 1)], JPEGBaseline8Bit, "YBR_FULL", Rows=64, Columns=96)
    with pytest.raises(ImageError, match="more than 100 scans"):
        load_image(many)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damage_is_called_damage_and_raises_nothing_else() -> None:
    chance = random.Random(0)
    for data in (READ["explicit"], READ["JPEG"], READ["JPEG 2000"]):
        for share in (0.01, 0.1, 0.4, 0.6, 0.95):
            with pytest.raises(ImageError) as caught:
                load_image(data[: int(share * len(data))])
            told(str(caught.value))
        assert "is damaged or cut off" in str(caught.value)
        for _ in range(100):
            broken = bytearray(data)
            for _ in range(3):
                broken[chance.randrange(128, 1400)] = chance.randrange(256)
            try:
                load_image(bytes(broken))
            except ImageError as error:
                told(str(error))


@pytest.fixture
def lesion(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "lesion.dcm"
    path.parent.mkdir()
    path.write_bytes(dicom(render_phantom(5, malignant=True)))
    assert all(secret.encode() in path.read_bytes() for secret in SECRETS)
    return path


def test_nothing_of_the_patient_is_read_kept_or_told(
    lesion: Path,
    tiny_checkpoint: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Log, screen, table, JSON, reports, and every file that is written or named on the way."""
    caplog.set_level(logging.DEBUG)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    (lesion.parent / "ct.dcm").write_bytes(OTHERS["CT"])
    (lesion.parent / "cut.dcm").write_bytes(READ["explicit"][:2000])
    out = tmp_path / "out.csv"
    assert main(["score", str(lesion.parent), "--out", str(out), "--checkpoint", str(tiny_checkpoint)]) == 1
    with out.open(encoding="utf-8-sig", newline="") as file:
        rows = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    assert rows["lesion.dcm"]["probability"]
    assert "is a DICOM file, but no photograph" in rows["ct.dcm"]["error"]
    assert "damaged" in rows["cut.dcm"]["error"]

    analyzer, texts = FakeAnalyzer(), load_texts("en")
    archive = ReportArchive(tmp_path / "reports.zip", analyzer, texts)
    items = [BatchItem(path.name, path) for path in sorted(lesion.parent.iterdir())]
    for finding in analyze_batch(analyzer, items, POINT):
        told(str(finding.row), repr(finding.analysis))
        if finding.picture is not None:
            archive.add(finding, finding.picture)
    found, picture = analyzer.analyze_file(lesion)
    findings = report_json(replace(found, picture=picture), picture, analyzer.meta, "a-run", texts)
    screen = capfd.readouterr()
    told(json.dumps(findings), caplog.text, screen.out, screen.err, out.read_text(encoding="utf-8"))
    for path in tmp_path.rglob("*"):
        told(str(path))
        if path.is_file() and path.parent != lesion.parent:
            told(path.read_bytes().decode("latin-1"))


def test_no_element_is_parsed_but_those_of_the_picture(lesion: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Dataset] = []
    real = Dataset.__init__

    def noted(self: Dataset, *args: Any, **kwargs: Any) -> None:
        real(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(Dataset, "__init__", noted)
    load_image(lesion)
    groups = {tag.group for dataset in made for tag in dataset._dict}
    assert made
    assert groups <= {0x0002, 0x0008, 0x0028, 0x7FE0}
    assert {tag.element for dataset in made for tag in dataset._dict if tag.group == 0x0008} <= {0x0005, 0x0060}


def test_the_page_makes_a_preview_of_it(lesion: Path) -> None:
    assert needs_preview(str(lesion))


def test_pydicom_comes_with_what_serves() -> None:
    assert "pydicom>=3.0.2\n" in (PROJECT / "requirements.txt").read_text(encoding="utf-8")


def test_corners_are_told_apart() -> None:
    """The test picture itself: a swap of channels or a lost conversion shows in it."""
    swapped = Q[..., ::-1]
    assert not np.allclose(swapped[10, 15], CORNERS["top left"], atol=25)
    assert not np.allclose(ybr(Q)[10, 15], CORNERS["top left"], atol=25)
