"""The process that feeds the loader, started by `scripts.fuzz`: its arguments are FOUND and libFuzzer's options.

What is imported before the fuzzer looks tells it nothing: so this module imports little, and the loader last.
"""

from __future__ import annotations

import re
import struct
import sys
import time
import warnings
import zlib
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent / "lesion_demo" / "web" / "examples"
SECONDS = 5
"""Of a processor, that a file may take."""
GUIDED = ["PIL", "pillow_heif", "pydicom", "lesion_demo.images"]
"""Packages whose Python code tells the fuzzer what a file has reached; decoders in C do not tell."""


def with_right_sums(data: bytes) -> bytes:
    """`data`, the checksums of its chunks made right where it is a PNG: else nothing behind the first is reached."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    found, place = bytearray(data), 8
    while place + 12 <= len(found):
        end = place + 8 + struct.unpack_from(">I", found, place)[0]
        if end + 4 > len(found):
            break
        struct.pack_into(">I", found, end, zlib.crc32(found[place + 4 : end]))
        place = end + 4
    return bytes(found)


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=GUIDED):
        from lesion_demo.errors import ImageError, where_raised
        from lesion_demo.images.load import load_picture

        load_picture(next(EXAMPLES.glob("*.jpg")))  # brings in what is imported at the first picture

    warnings.simplefilter("ignore")  # Pillow's, of what is odd in a file
    found = Path(sys.argv[1])

    def keep(why: str, data: bytes) -> None:
        (found / re.sub(r"\W+", "-", why)[-150:]).write_bytes(data)  # one of a kind

    def one(data: bytes) -> None:
        began = time.process_time()
        try:
            load_picture(data or b"\0")
        except ImageError:
            pass
        except Exception as error:  # noqa: BLE001  # that is what is looked for
            keep(where_raised(error), data)
        if time.process_time() - began > SECONDS:
            keep(f"slow {len(data)}", data)

    def mutated(data: bytes, longest: int, seed: int) -> bytes:
        return with_right_sums(atheris.Mutate(data, longest))[:longest]

    atheris.Setup([sys.argv[0], *sys.argv[2:]], one, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
