"""DICOM files with a patient's data."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import FileDataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, DermoscopicPhotographyImageStorage, ExplicitVRLittleEndian, generate_uid
from quarters import quarters

PATIENT = "Mustermann^Erika"
SECRETS = (PATIENT, "Mustermann", "PID-7290", "ACC-0815", "19640812", "St Nowhere")


def dicom(pixels: NDArray[np.uint8] | None = None, syntax: str = ExplicitVRLittleEndian, **elements: Any) -> bytes:
    """A dermoscopic picture, uint8 [H, W, 3], with a patient's data; `elements` take the place of its own."""
    pixels = np.asarray(quarters()) if pixels is None else pixels
    head = FileMetaDataset()
    head.TransferSyntaxUID = UID(syntax)
    head.MediaStorageSOPClassUID = DermoscopicPhotographyImageStorage
    head.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset("", {}, file_meta=head, preamble=bytes(128))
    data.PatientName, data.PatientID, data.AccessionNumber = SECRETS[0], SECRETS[2], SECRETS[3]
    data.PatientBirthDate, data.InstitutionName = SECRETS[4], SECRETS[5]
    data.ImageComments = f"{PATIENT}, left forearm"
    data.SOPClassUID, data.SOPInstanceUID = head.MediaStorageSOPClassUID, head.MediaStorageSOPInstanceUID
    data.Modality, data.PhotometricInterpretation, data.PlanarConfiguration = "DMS", "RGB", 0
    data.Rows, data.Columns, data.SamplesPerPixel = *pixels.shape[:2], 3
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelData = pixels.tobytes()
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are wrong on purpose
        for name, value in elements.items():
            setattr(data, name, value)
        data["PixelData"].VR = "OB" if head.TransferSyntaxUID.is_encapsulated else "OW"
        data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
