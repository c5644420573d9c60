"""A data set that comes as a zip, such as the ISIC archive's downloads."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path

from lesion_demo.errors import DataError


def unpacked(path: Path) -> Path:
    """The folder beside the zip at `path` with what is in it, unpacked the first time; any other path as it is.

    Raises:
        DataError: the zip is damaged or encrypted, or there is no room for what is in it.
    """
    if path.suffix.lower() != ".zip" or not path.is_file():
        return path
    folder = path.with_suffix("")
    if folder.exists():
        return folder
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory(dir=path.parent) as part:
            size = sum(member.file_size for member in archive.infolist())
            if size > shutil.disk_usage(path.parent).free:
                raise DataError(f"{path} unpacks to {size / 1e9:,.1f} GB, more than is free in {path.parent}.")
            archive.extractall(Path(part) / "all")
            (Path(part) / "all").rename(folder)  # whole or not at all
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:  # RuntimeError: encrypted
        raise DataError(f"{path} could not be unpacked ({error}): unpack it yourself and name the folder.") from error
    return folder
