"""DICOM files with a patient's data."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import UID, ExplicitVRLittleEndian
from quarters import quarters

from scripts import fuzz

PATIENT = "Mustermann^Erika"
SECRETS = (PATIENT, "Mustermann", "PID-7290", "ACC-0815", "19640812", "St Nowhere")


def dicom(pixels: NDArray[np.uint8] | None = None, syntax: str = ExplicitVRLittleEndian, **elements: Any) -> bytes:
    """A dermoscopic picture, uint8 [H, W, 3], with a patient's data; `elements` take the place of its own."""
    pixels = np.asarray(quarters()) if pixels is None else pixels
    data = fuzz.dicom(pixels, syntax)
    data.PatientName, data.PatientID, data.AccessionNumber = SECRETS[0], SECRETS[2], SECRETS[3]
    data.PatientBirthDate, data.InstitutionName = SECRETS[4], SECRETS[5]
    data.ImageComments = f"{PATIENT}, left forearm"
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are wrong on purpose
        for name, value in elements.items():
            setattr(data, name, value)
        data["PixelData"].VR = "OB" if UID(syntax).is_encapsulated else "OW"
        data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
