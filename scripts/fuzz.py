"""Feeds damaged files to the loader of pictures, guided by the code that they reach. Needs `pip install atheris`.

python -m scripts.fuzz --minutes 10 --folder fuzz   # goes on from the files that an earlier run left in fuzz/

It begins with a small good file of each format. A file that is neither read nor refused by an `ImageError`, or that
takes more than five seconds of a processor, is kept in `found` inside of --folder, as is one that ends the process.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image
from pydicom import FileDataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, DermoscopicPhotographyImageStorage, ExplicitVRLittleEndian, generate_uid

from lesion_demo.files import write_json
from scripts.reliability import record

MEGABYTES = 3000
"""That the process may have: a picture of 100 megapixels takes 0.8 GB, and its decoder some more."""
LONGEST = 4096
"""Bytes of a file that the fuzzer makes."""
KINDS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF", "JPEG2000")
MODES = {"PNG": ("1", "L", "LA", "P", "RGBA", "I;16"), "TIFF": ("CMYK", "LAB", "F", "I;16")}


def seeds() -> Iterator[tuple[str, bytes]]:
    """A small good file of each format, in some of its kinds of pixels, with a name for it."""
    pillow_heif.register_heif_opener()
    colours = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(colours).resize((36, 34))
    for kind in KINDS:
        yield kind, saved(picture, kind)
    for kind, modes in MODES.items():
        for mode in modes:
            source = picture.convert("L") if mode in ("F", "I;16") else picture
            yield f"{kind} {mode}", saved(source.convert(mode), kind)
    buffer = io.BytesIO()
    dicom(np.asarray(picture)).save_as(buffer, enforce_file_format=True)
    yield "DICOM", buffer.getvalue()


def saved(picture: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def dicom(pixels: NDArray[np.uint8], syntax: str = ExplicitVRLittleEndian) -> FileDataset:
    """A dermoscopic picture, uint8 [H, W, 3], with nothing of a patient."""
    head = FileMetaDataset()
    head.TransferSyntaxUID, head.MediaStorageSOPInstanceUID = UID(syntax), generate_uid()
    head.MediaStorageSOPClassUID = DermoscopicPhotographyImageStorage
    data = FileDataset("", {}, file_meta=head, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID = head.MediaStorageSOPClassUID, head.MediaStorageSOPInstanceUID
    data.Modality, data.PhotometricInterpretation, data.PlanarConfiguration = "DMS", "RGB", 0
    data.Rows, data.Columns, data.SamplesPerPixel = *pixels.shape[:2], 3
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelData = pixels.tobytes()
    return data


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--folder", type=Path, required=True, help="of the files that the fuzzer goes on from")
    args = parser.parse_args(arguments)
    files, found = args.folder / "files", args.folder / "found"
    for place in (files, found):
        place.mkdir(parents=True, exist_ok=True)
    for name, content in seeds():
        (files / name).write_bytes(content)
    end, runs, reached = time.monotonic() + 60 * args.minutes, 0, 0
    while (left := round(end - time.monotonic())) > 0:  # more than once where a file ends the process
        options = [f"-max_total_time={left}", f"-max_len={LONGEST}", f"-rss_limit_mb={MEGABYTES}", "-timeout=60"]
        options += ["-print_final_stats=1", f"-artifact_prefix={found}/", str(files)]
        command = [sys.executable, "-m", "scripts.fuzz_feed", str(found), *options]
        said = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False).stderr
        print(said[-1500:], file=sys.stderr)
        if not (counted := re.findall(r"number_of_executed_units: *(\d+)|^#(\d+)", said, re.MULTILINE)):
            raise SystemExit(f"error: the fuzzer did not run: {said[-500:]}")
        runs += max(int(one or other) for one, other in counted)
        reached = max(int(one) for one in re.findall(r" ft: (\d+)", said))  # none: it was not guided
    kept = sorted(path.name for path in found.iterdir())
    file = args.folder / "so_far.json"
    before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"minutes": 0, "files": 0}
    so_far = {"minutes": before["minutes"] + args.minutes, "files": before["files"] + runs, "reached": reached}
    write_json(file, so_far)
    record("fuzz", {**so_far, "found": kept})
    return int(bool(kept))


if __name__ == "__main__":
    sys.exit(main())
