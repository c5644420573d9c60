"""Files that are no ordinary picture, made when they are asked for: what people send, and what attackers do."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image

ANSWER, SENTENCE, EITHER = "an answer", "a sentence", "either"
WIDTH, HEIGHT = 96, 72
TEXTS = {
    "empty.jpg": b"",
    "one byte.jpg": b"\xff",
    "text.jpg": b"Dear doctor, please find my picture attached. " * 20,
    "text in utf-16.png": "Dear doctor".encode("utf-16") * 20,
    "page.jpg": b"<!doctype html><html><script>alert(1)</script></html>",
    "drawing.jpg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><image href="file:///etc/passwd"/></svg>',
    "settings.jpg": b'{"path": "/etc/passwd"}',
    "script.jpg": b"#!/bin/sh\ntouch /tmp/run\n",
    "postscript.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n(%pipe%id) (w) file\nshowpage\n",
    "document.jpg": b"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\n%%EOF\n",
    "photoshop.jpg": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 64, 64, 8, 3) + bytes(99),
    "portable.jpg": b"P6 64 64 255\n" + bytes(3 * 64 * 64),
    "gimp.jpg": b"gimp xcf v011\0" + bytes(99),
    "jpeg xl.jpg": b"\xff\x0a" + bytes(99),
    "jpeg xl in a box.jpg": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99),
    "film.jpg": b"\0\0\0\x18ftypmp42" + bytes(99),
    "fujifilm.jpg": b"FUJIFILMCCD-RAW 0201" + bytes(99),
    "canon.jpg": b"\0\0\0\x18ftypcrx \0\0\0\1" + bytes(99),
    "zip.jpg": b"PK\3\4" + bytes(99),
    "gif and script.jpg": b"GIF89a/*" + bytes(20) + b"*/=1;alert(1)",
}
"""None of them is a picture, whatever its name says."""


@dataclass(frozen=True)
class BadInput:
    """A file's name and content, and what is to come of it; `several`: it holds more pictures than the first."""

    name: str
    content: bytes
    expected: str = SENTENCE
    several: bool = False


def bad_inputs() -> list[BadInput]:
    """All of them, in the same order each time; none takes more than a moment to make."""
    groups = (
        texts(),
        cut_off(),
        flipped(),
        bombs(),
        odd_shapes(),
        modes(),
        several(),
        turned(),
        additions(),
        formats(),
    )
    return [one for group in groups for one in group]


def picture(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Smooth colours with some noise: it compresses neither to nothing nor badly."""
    rows, columns = np.mgrid[:height, :width]
    colours = np.stack([rows * 2 + 60, columns * 2, 255 - rows], axis=-1) % 256
    noise = np.random.default_rng(0).integers(0, 20, colours.shape)
    return Image.fromarray(np.clip(colours + noise, 0, 255).astype(np.uint8))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def texts() -> Iterator[BadInput]:
    for name, content in TEXTS.items():
        yield BadInput(name, content)


def cut_off() -> Iterator[BadInput]:
    """A JPEG at 20 places, and other kinds in the middle."""
    whole = saved(picture(), "JPEG")
    for number in range(20):
        yield BadInput(f"cut off {number}.jpg", whole[: 2 + number * (len(whole) - 2) // 21])
    for kind in ("PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "JPEG2000"):
        content = saved(picture(), kind)
        yield BadInput(f"half.{kind.lower()}", content[: len(content) // 2])


def flipped() -> Iterator[BadInput]:
    """A few bits turned, most of them in the header."""
    for kind in ("JPEG", "PNG", "TIFF", "WEBP", "GIF"):
        whole, chance = saved(picture(), kind), random.Random(kind)
        for number in range(5):
            content = bytearray(whole)
            for _ in range(6):
                content[chance.randrange(min(len(content), 400))] ^= 1 << chance.randrange(8)
            yield BadInput(f"flipped {number}.{kind.lower()}", bytes(content), EITHER)


def patched(content: bytes, offset: int, new: bytes) -> bytes:
    return content[:offset] + new + content[offset + len(new) :]


def png_of(width: int, height: int, data: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """A PNG whose header claims that size, of 8-bit grey, with `more` chunks before its `data`."""
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    chunks = (header, *more, (b"IDAT", zlib.compress(data, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def bombs() -> Iterator[BadInput]:
    """Headers that claim 100 megapixels and more, and texts and profiles that unpack to far more than a picture."""
    jpeg, gif, bmp, jp2 = (saved(picture(), kind) for kind in ("JPEG", "GIF", "BMP", "JPEG2000"))
    frame, box = jpeg.index(b"\xff\xc0") + 5, jp2.index(b"ihdr") + 4
    siz = jp2.index(b"\xff\x51") + 6
    huge = bytes(20_000_000)
    yield BadInput("bomb.png", png_of(40_000, 40_000, bytes(1000)))
    yield BadInput("144 megapixels.png", png_of(12_000, 12_000, bytes(1000)))
    yield BadInput("bomb.jpg", patched(jpeg, frame, struct.pack(">HH", 65_500, 65_500)))
    yield BadInput("bomb.gif", patched(gif, 6, struct.pack("<HH", 65_535, 65_535)))
    yield BadInput("bomb.bmp", patched(bmp, 18, struct.pack("<II", 40_000, 40_000)))
    yield BadInput(
        "bomb.jp2",
        patched(patched(jp2, box, struct.pack(">II", 40_000, 40_000)), siz, struct.pack(">II", 40_000, 40_000)),
    )
    yield BadInput("bomb.tif", tiff(np.zeros((48, 64), np.uint8), {256: 40_000, 257: 40_000}))
    yield BadInput("bomb.webp", patched(saved(picture(), "WEBP", lossless=True), 21, b"\xff\xff\xff\x0f"))
    grey = b"".join(b"\0" + bytes(64) for _ in range(48))
    yield BadInput("text bomb.png", png_of(64, 48, grey, (b"zTXt", b"a\0\0" + zlib.compress(huge, 9))), EITHER)
    yield BadInput("profile bomb.png", png_of(64, 48, grey, (b"iCCP", b"a\0\0" + zlib.compress(huge, 9))), EITHER)
    yield BadInput("too many rows.png", png_of(64, 48, huge), EITHER)


def odd_shapes() -> Iterator[BadInput]:
    for width, height in ((1, 1), (31, 31), (31, 200), (4000, 40), (40, 4000)):
        yield BadInput(f"{width} x {height}.png", saved(Image.new("RGB", (width, height)), "PNG"))
    yield BadInput("no rows.png", png_of(64, 0, b""))
    for name in ("black", "white"):
        yield BadInput(f"{name}.png", saved(Image.new("RGB", (WIDTH, HEIGHT), name), "PNG"), ANSWER)


def modes() -> Iterator[BadInput]:
    """Every kind of pixel that a picture may have."""
    plain = picture()
    for mode in ("1", "L", "LA", "P", "RGBA"):
        yield BadInput(f"{mode}.png", saved(plain.convert(mode), "PNG"), ANSWER)
    yield BadInput("cmyk.jpg", saved(plain.convert("CMYK"), "JPEG"), ANSWER)
    yield BadInput("cmyk.tif", saved(plain.convert("CMYK"), "TIFF"), ANSWER)
    yield BadInput("lab.tif", saved(plain.convert("LAB"), "TIFF"), ANSWER)
    yield BadInput("grey.jpg", saved(plain.convert("L"), "JPEG"), ANSWER)
    ramp = np.tile(np.linspace(0, 1, WIDTH, dtype=np.float32), (HEIGHT, 1))
    deep = Image.fromarray((ramp * 65535).astype(np.uint16))
    yield BadInput("16 bit.png", saved(deep, "PNG"), ANSWER)
    yield BadInput("16 bit.tif", saved(deep, "TIFF"), ANSWER)
    yield BadInput("float.tif", saved(Image.fromarray(ramp), "TIFF"), ANSWER)
    yield BadInput("not a number.tif", saved(Image.fromarray(np.where(ramp > 0.5, np.nan, ramp)), "TIFF"))
    yield BadInput("infinite.tif", saved(Image.fromarray(np.where(ramp > 0.5, np.inf, ramp)), "TIFF"))
    yield BadInput("double.tif", tiff(ramp.astype(np.float64)))
    yield BadInput("signed.tif", tiff((ramp * 127).astype(np.int8)))
    yield BadInput("raw.dng", tiff((ramp * 255).astype(np.uint8), {50706: 1}))


def several() -> Iterator[BadInput]:
    """More pictures than one in a file."""
    more = {"save_all": True, "append_images": [Image.new("RGB", (WIDTH, HEIGHT), "white")]}
    for kind in ("GIF", "WEBP", "TIFF", "PNG"):
        yield BadInput(f"several.{kind.lower()}", saved(picture(), kind, **more), ANSWER, several=True)
    yield BadInput("phone.mpo", saved(picture(), "MPO", **more), ANSWER)
    loop = bytearray(tiff(np.full((HEIGHT, WIDTH), 90, np.uint8)))
    loop[-4:] = loop[4:8]  # the page after the first is the first
    yield BadInput("loop.tif", bytes(loop), EITHER)


def turned() -> Iterator[BadInput]:
    for orientation in range(10):  # 1 to 8 have a meaning
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield BadInput(f"turned {orientation}.jpg", saved(picture(), "JPEG", exif=exif), ANSWER)


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (2 + len(body)).to_bytes(2, "big") + body


def additions() -> Iterator[BadInput]:
    """A good picture, and something else in its file."""
    jpeg, png = saved(picture(), "JPEG"), saved(picture(), "PNG")
    for name, body in {
        "exif": segment(0xE1, b"Exif\0\0" + b"\xff" * 60),
        "xmp": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><!ENTITY a SYSTEM 'file:///etc/passwd'>"),
        "profile": segment(0xE2, b"ICC_PROFILE\0\1\1" + b"\0" * 60),
        "comment": segment(0xFE, b"<?php system('id'); ?>"),
        "photoshop": segment(0xED, b"Photoshop 3.0\0" + b"8BIM\xff\xff" * 9),
    }.items():
        yield BadInput(f"odd {name}.jpg", jpeg[:2] + body + jpeg[2:], ANSWER)
    yield BadInput("odd profile.png", saved(picture(), "PNG", icc_profile=b"no profile"), ANSWER)
    yield BadInput("picture and zip.jpg", jpeg + zipped(("evil.sh", b"id")), ANSWER)
    yield BadInput("picture and page.png", png + TEXTS["page.jpg"], ANSWER)
    yield BadInput("document and picture.jpg", TEXTS["document.jpg"] + jpeg)
    yield BadInput("wrong sum.png", patched(png, 29, b"\0\0\0\0"))


def formats() -> Iterator[BadInput]:
    """JPEGs of rare kinds, and the kinds that phones have."""
    jpeg = saved(picture(), "JPEG")
    frame = jpeg.index(b"\xff\xc0")
    for name, marker in {"lossless": 0xC3, "arithmetic": 0xC9, "hierarchical": 0xC5}.items():
        yield BadInput(f"{name}.jpg", patched(jpeg, frame + 1, bytes([marker])), EITHER)
    yield BadInput("12 bit.jpg", patched(jpeg, frame + 4, b"\x0c"), EITHER)
    progressive = saved(picture(), "JPEG", progressive=True)
    scan = progressive.rindex(b"\xff\xda")
    yield BadInput("many scans.jpg", progressive[:scan] + progressive[scan:-2] * 300 + progressive[-2:])
    for kind in ("AVIF", "WEBP", "JPEG2000"):
        yield BadInput(f"good.{kind.lower()}", saved(picture(), kind), ANSWER)
    buffer = io.BytesIO()
    pillow_heif.from_pillow(picture()).save(buffer)
    yield BadInput("good.heic", buffer.getvalue(), ANSWER)
    yield BadInput("half.heic", buffer.getvalue()[: len(buffer.getvalue()) // 2])


def tiff(values: NDArray[np.generic], tags: dict[int, int] | None = None) -> bytes:
    """A little-endian TIFF file of one strip of grey `values` [H, W]; `tags` take the place of what they ask for."""
    height, width = values.shape
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    data = values.tobytes()
    entries = {256: width, 257: height, 258: 8 * values.dtype.itemsize, 259: 1, 262: 1, 273: 8, 277: 1, 278: height}
    entries |= {279: len(data), 339: kind} | (tags or {})
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    return (
        struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + struct.pack("<H", len(entries)) + directory + bytes(4)
    )


def bad_zips() -> dict[str, tuple[bytes, str]]:
    """Zips by their names: the content, and what is said of it; empty where its one picture `good.jpg` is analysed."""
    good = ("good.jpg", saved(picture(), "JPEG"))
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = 0o120777 << 16
    encrypted = bytearray(zipped(good))
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        encrypted[encrypted.index(signature) + offset] |= 1
    return {
        "empty.zip": (b"", "cannot be opened"),
        "text.zip": (TEXTS["text.jpg"], "cannot be opened"),
        "no members.zip": (zipped(), "holds no pictures"),
        "half.zip": (zipped(good)[:-30], "cannot be opened"),
        "inside.zip": (zipped(("inner.zip", zipped(good))), "holds no pictures"),
        "twice inside.zip": (zipped(("inner.jpg", zipped(good))), "is not a picture"),
        "link.zip": (zipped((link, b"/etc/passwd")), "is not a picture"),
        "encrypted.zip": (bytes(encrypted), "encrypted"),
        "unusual.zip": (zipped(good, compression=zipfile.ZIP_LZMA), "its compression method is not supported"),
        "bomb.zip": (zipped(("bomb.jpg", bytes(30_000_000))), "exceed the total size allowed"),
        "crowd.zip": (zipped(*((f"{number}.jpg", b"") for number in range(10_001))), "it holds 10001 pictures"),
        "upwards.zip": (zipped(("../../../good.jpg", good[1])), ""),
        "windows.zip": (zipped(("..\\..\\C:\\good.jpg", good[1])), ""),
        "absolute.zip": (zipped(("/etc/cron.d/good.jpg", good[1])), ""),
        "mac.zip": (zipped(good, ("__MACOSX/._good.jpg", b"\0"), ("desktop.ini", b"")), ""),
        "with text before.zip": (TEXTS["script.jpg"] + zipped(good), ""),
    }


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()
