"""DICOM files for Pillow: photographs and dermoscopic pictures in colour, and of what a file tells no more than that.

Only the elements in `_TAGS` are ever read, so that nothing else, a patient's name least of all, is in memory as
anything but bytes that were passed over.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from PIL import Image, ImageFile

if TYPE_CHECKING:
    from pydicom import Dataset

FORMAT = "DICOM"
"""As Pillow calls it."""
PREAMBLE = 128
MAGIC = b"DICM"
"""What follows the preamble, which may hold anything: in some files, the head of a TIFF."""

_TAGS = (
    *("Modality", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames"),
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "ICCProfile", "PixelData"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
)
_MODALITIES = frozenset({"", "DMS", "XC", "OT"})
"""Dermoscopy, photography, and what does not say, as pictures sent on from elsewhere do not."""
_NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"})
"""Transfer syntaxes without compression."""
_JPEG = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})
_JPEG_2000 = frozenset({"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"})
_MODES = {"RGB": "RGB", "YBR_RCT": "RGB", "YBR_ICT": "RGB", "YBR_FULL": "YCbCr", "YBR_FULL_422": "YCbCr"}
"""Photometric interpretation → Pillow's mode; JPEG 2000 itself undoes the first two's transform when it is decoded."""


class DicomFile(ImageFile.StubImageFile):
    """A DICOM file with its header read.

    Attributes:
        refusal: why it is not read, to follow its name in a sentence; empty if it is. Such a one has no size.
        compressed: the first picture's JPEG file; empty where it is none.
        is_animated: are there more pictures than one?
    """

    format = FORMAT
    format_description = "DICOM"
    refusal = ""
    compressed = b""
    is_animated = False
    _dataset: Dataset | None = None

    def _open(self) -> None:
        """Raises SyntaxError, as Pillow wants it, where this is no DICOM file or a damaged one."""
        file = cast(BinaryIO, self.fp)  # open for as long as this runs
        if not is_dicom(file.read(PREAMBLE + len(MAGIC))):
            raise SyntaxError("not a DICOM file")
        self._mode, self._size = "RGB", (1, 1)
        with _damage_as(SyntaxError):
            self._describe(file)

    def _describe(self, file: BinaryIO) -> None:
        syntax = _transfer_syntax(file)
        if syntax not in _NATIVE | _JPEG | _JPEG_2000:  # one of them is a zip, and would be unpacked whatever its size
            self.refusal = "is a DICOM file packed in a way that is not read here; please export it as JPEG or PNG."
            return
        dataset = _read(file)
        if not _is_photograph(dataset):
            self.refusal = (
                "is a DICOM file, but no photograph or dermoscopic picture with 8 bits of red, green and blue; "
                "other kinds, such as CT, MR or X-ray pictures, cannot be judged here."
            )
            return
        self._size = (int(dataset.Columns), int(dataset.Rows))
        frames = int(dataset.get("NumberOfFrames") or 1)
        self.is_animated = frames > 1
        if "ICCProfile" in dataset:
            self.info["icc_profile"] = bytes(dataset.ICCProfile)
        if syntax not in _NATIVE:
            self._check_frame(_first_frame(dataset, frames), is_jpeg=syntax in _JPEG)
        self._dataset = dataset

    def _check_frame(self, frame: bytes, *, is_jpeg: bool) -> None:
        """The compressed picture has a size of its own, which might be another."""
        with Image.open(io.BytesIO(frame), formats=["JPEG"] if is_jpeg else ["JPEG2000"]) as image:
            if image.size != self._size:
                raise ValueError("the picture has not the size that the file says")
        self.compressed = frame if is_jpeg else b""

    def _load(self) -> ImageFile.StubHandler:
        return _Decoder(self._dataset)


class _Decoder(ImageFile.StubHandler):
    def __init__(self, dataset: Dataset | None) -> None:
        self._dataset = dataset

    def load(self, im: ImageFile.StubImageFile) -> Image.Image:
        """The first picture; a YCbCr one as such, since Pillow turns it into RGB with less memory than pydicom."""
        from pydicom.pixels import get_decoder

        if self._dataset is None:
            raise OSError("a DICOM file that is not read")
        with _damage_as(OSError):
            decoder = get_decoder(self._dataset.file_meta.TransferSyntaxUID)
            pixels, found = decoder.as_array(self._dataset, index=0, raw=True)  # [H, W, 3]
            image = Image.fromarray(pixels)
            if _MODES[str(found["photometric_interpretation"])] == "YCbCr":
                image = Image.frombytes("YCbCr", image.size, image.tobytes())
        image.info = dict(im.info)
        return image


@contextmanager
def _damage_as(kind: type[Exception]) -> Iterator[None]:
    """Raise `kind` for whatever pydicom raises: on damaged files that may be anything, and quote what they hold."""
    try:
        yield
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # see above
        raise kind("damaged DICOM file") from None


def register() -> None:
    """Have Pillow open such files."""
    Image.register_open(FORMAT, DicomFile)


def is_dicom(data: bytes) -> bool:
    """Does a file that begins with `data` say that it is a DICOM file?"""
    return data[PREAMBLE : PREAMBLE + len(MAGIC)] == MAGIC


def _transfer_syntax(file: BinaryIO) -> str:
    """How the file is packed, by its identifier; read without unpacking anything."""
    from pydicom.filereader import read_dataset

    file.seek(PREAMBLE + len(MAGIC))
    head = read_dataset(
        file,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, *_: tag.group != 2,
        specific_tags=[0x0002_0010],
    )
    return str(head.TransferSyntaxUID)


def _read(file: BinaryIO) -> Dataset:
    from pydicom import dcmread

    file.seek(0)
    dataset = dcmread(file, specific_tags=list(_TAGS))
    if not dataset:  # where the end is missing, pydicom gives up all of it
        raise ValueError("the file ends before the picture does")
    return dataset


def _first_frame(dataset: Dataset, frames: int) -> bytes:
    from pydicom.encaps import get_frame

    table: dict[str, Any] = {}
    if "ExtendedOffsetTable" in dataset:
        table["extended_offsets"] = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    return get_frame(dataset.PixelData, 0, number_of_frames=frames, **table)


def _is_photograph(dataset: Dataset) -> bool:
    return (
        str(dataset.get("Modality") or "") in _MODALITIES
        and dataset.get("PhotometricInterpretation") in _MODES
        and dataset.SamplesPerPixel == 3
        and dataset.BitsAllocated == dataset.BitsStored == 8
        and dataset.PixelRepresentation == 0
    )
