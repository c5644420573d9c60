"""What is refused, and how much time and memory a picture may take."""

from __future__ import annotations

import ast
import contextlib
import io
import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import patched, tiff
from conftest import PROJECT
from numpy.typing import NDArray
from PIL import Image
from quarters import HEIGHT, WIDTH, encoded, quarters

from lesion_demo.errors import ImageError
from lesion_demo.images import file_bytes
from lesion_demo.images import load as loading
from lesion_demo.images.jpeg import count_scans
from lesion_demo.images.load import MAX_ASPECT, MAX_SCANS, PICTURE_SUFFIXES, load_image


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"“gone\.jpg” does not exist"):
        load_image(tmp_path / "gone.jpg")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a folder"):
        load_image(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match="is not a regular file"):
        load_image(tmp_path / "pipe.jpg")


def test_impossible_path() -> None:
    with pytest.raises(ImageError, match="could not be read"):
        load_image("le\0sion.jpg")


@pytest.mark.parametrize("source", [b"", io.BytesIO()])
def test_empty_file(source: bytes | io.BytesIO) -> None:
    with pytest.raises(ImageError, match="is empty"):
        load_image(source)


@pytest.mark.parametrize("kind", ["EPS", "PCX"])
def test_formats_beyond_the_known_are_not_tried(kind: str) -> None:
    """Pillow reads EPS by running Ghostscript on it."""
    with pytest.raises(ImageError, match="is not a picture in a supported format"):
        load_image(encoded(quarters(), kind))


@pytest.mark.parametrize("data", [b"x", b"a shopping list, not a picture " * 9])
def test_not_a_picture(data: bytes) -> None:
    with pytest.raises(ImageError, match="is not a picture"):
        load_image(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000"])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_truncated(kind: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, kind)
    with pytest.raises(ImageError, match="is damaged or cut off") as caught:
        load_image(data[: int(share * len(data))])
    assert caught.value.__cause__ is not None


def test_random_damage_raises_nothing_else() -> None:
    chance = random.Random(0)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype=np.uint8))
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        data = encoded(noise, kind)
        for _ in range(40):
            broken = bytearray(data)
            for _ in range(4):
                broken[chance.randrange(min(len(broken), 300))] = chance.randrange(256)
            with contextlib.suppress(ImageError):
                load_image(bytes(broken))


@pytest.mark.parametrize("tag", [254, 258, 259, 262, 277, 284, 339])
def test_a_tag_of_another_type_raises_nothing_else(tag: int) -> None:
    """The fuzzer found two fractions where the bits of a value belong; here are others of the kind."""
    good = tiff(np.full((40, 40), 90, np.uint8), {254: 0, 284: 1})
    for kind, count in ((5, 2), (5, 1), (10, 2), (2, 4), (7, 0), (4, 3), (11, 1), (12, 2)):
        entry = good.index(struct.pack("<HH", tag, 4))
        with contextlib.suppress(ImageError):
            load_image(patched(good, entry, struct.pack("<HHII", tag, kind, count, 8)))


def test_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MAX_PIXELS", WIDTH * HEIGHT - 1)
    with pytest.raises(ImageError, match="is too large"):
        load_image(encoded(quarters(), "PNG"))


def test_decompression_bomb_is_refused_unread() -> None:
    """A header that claims 40,000 × 40,000 pixels, in a file of 100 bytes."""
    header = bytearray(encoded(Image.new("L", (64, 64)), "BMP"))
    header[18:26] = (40_000).to_bytes(4, "little") * 2
    with pytest.raises(ImageError, match="is too large"):
        load_image(bytes(header))


def test_too_many_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(file_bytes, "MAX_BYTES", 50)
    path = tmp_path / "large.png"
    path.write_bytes(encoded(quarters(), "PNG"))
    for source in (path, path.read_bytes()):
        with pytest.raises(ImageError, match="is too large"):
            load_image(source)


@pytest.mark.parametrize("size", [(31, 200), (200, 31), (1, 1)])
def test_too_small(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="is only"):
        load_image(encoded(Image.new("RGB", size), "PNG"))
    assert load_image(encoded(Image.new("RGB", (32, 32)), "PNG")).shape == (32, 32, 3)


def test_codec_is_not_imported_with_the_module() -> None:
    """HEIC support is added at the first picture, not at import, where it would cost every command its time."""
    body = ast.parse(Path(loading.__file__).read_text(encoding="utf-8")).body
    imported = [ast.unparse(node) for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imported
    assert not any("heif" in line for line in imported)


def test_suffixes() -> None:
    assert {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".heic"} <= PICTURE_SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in PICTURE_SUFFIXES)


def progressive(scans: int) -> bytes:
    """A progressive JPEG of so many `scans`: its last, which refines one that came before, over and over."""
    data = encoded(quarters().resize((96, 64)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * (scans - count_scans(data, 1000) + 1) + data[-2:]


def test_scans_are_counted() -> None:
    exif = Image.Exif()
    exif[0x010E] = "\u00ff\u00da not a marker"
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8))
    plain = encoded(noise, "JPEG", quality=98, exif=exif)
    assert b"\xff\x00" in plain  # stuffed bytes, which are no markers
    assert count_scans(plain, 1000) == 1
    assert count_scans(encoded(noise, "JPEG", restart_marker_blocks=2), 1000) == 1
    several = count_scans(encoded(noise, "JPEG", progressive=True), 1000)
    assert 6 <= several <= 12
    two = encoded(noise, "MPO", progressive=True, save_all=True, append_images=[noise])
    assert count_scans(two, 1000) == several
    small = encoded(quarters(), "JPEG", progressive=True)
    segment = b"\xff\xe1" + (2 + len(small)).to_bytes(2, "big") + small
    assert count_scans(plain[:2] + segment + plain[2:], 1000) == 1
    assert count_scans(progressive(300), 50) == 50
    for cut in range(0, 400, 7):
        assert count_scans(plain[:cut], 1000) <= 1


def test_a_jpeg_that_is_decoded_over_and_over_is_refused() -> None:
    """500 scans of a large picture in 0.7 MB keep a processor for 20 s."""
    assert load_image(progressive(MAX_SCANS)).shape == (64, 96, 3)
    with pytest.raises(ImageError, match="more than 100 scans"):
        load_image(progressive(MAX_SCANS + 1))


@pytest.mark.parametrize("size", [(32, 321), (321, 32), (32, 150_000)])
def test_a_strip_is_refused_undecoded(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.new("RGB", size), "PNG")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(ImageError, match=f"more than {MAX_ASPECT} times as long"):
        load_image(data)


def test_a_long_picture_is_not() -> None:
    assert load_image(encoded(Image.new("RGB", (320, 32)), "PNG")).shape == (32, 320, 3)


PEAK = """
import sys
from pathlib import Path
from lesion_demo.images.load import load_image

def peak():  # not getrusage's, which begins with that of the process that started this one
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024

before = peak()
load_image(sys.argv[1])
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak of a process")
@pytest.mark.parametrize("dtype", [np.uint16, np.uint8])
def test_memory_is_bounded(dtype: type, tmp_path: Path) -> None:
    """16 bits took 30 bytes a pixel, and 8 bits 14; what is converted at a time takes some more, whatever the size."""
    side = 5000
    values: NDArray[np.generic] = np.broadcast_to(np.arange(side), (side, side)).astype(dtype)
    image = Image.fromarray(values if dtype == np.uint16 else np.repeat(values[..., None], 3, axis=2))
    path = tmp_path / "large.png"
    image.save(path, compress_level=1)
    command = [sys.executable, "-c", PEAK, str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT)
    assert float(found.stdout) < 9 * side**2 / 2**20 + 120


@pytest.mark.parametrize(
    "step", ["read_bytes", "to_pixels", "Image.open", "Image.Image.crop", "ImageOps.exif_transpose"]
)
def test_too_little_memory_is_said_and_not_called_damage(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(f"lesion_demo.images.load.{step}", exhausted)
    with pytest.raises(ImageError, match="more memory than is free at the moment"):
        load_image(encoded(quarters(), "PNG"))
