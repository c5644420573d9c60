"""The report as a file to take away; it lies among the uploads, where it is swept."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

from lesion_demo.checkpoint import Checkpoint
from lesion_demo.images.transforms import Picture
from lesion_demo.serve.analysis import Analysis
from lesion_demo.serve.report import render_pdf, report_json
from lesion_demo.texts import Texts
from lesion_demo.web.uploads import REPORT_PREFIX


@dataclass(frozen=True)
class Circumstances:
    """What the reader has set for one report.

    Attributes:
        case_id: free text of the reader's own; it goes into the report and nowhere else.
        dermoscopic: was the picture taken through a dermatoscope?
        prevalence: share (0–1) of malignant lesions where the reader works.
    """

    case_id: str
    dermoscopic: bool
    prevalence: float


@dataclass(frozen=True)
class ReportWriter:
    """Writes reports of one checkpoint in one language."""

    meta: Checkpoint
    checkpoint_name: str
    texts: Texts

    def pdf(self, analysis: Analysis, picture: Picture, circumstances: Circumstances) -> Path:
        """A PDF on `analysis` of `picture`, uint8 [H, W, 3]; it is deleted after a few minutes."""
        return _fresh("report.pdf", render_pdf(analysis, picture, *self._subject, **asdict(circumstances)))

    def json(self, analysis: Analysis, picture: Picture, circumstances: Circumstances) -> Path:
        """The same as JSON."""
        findings = self.findings(analysis, picture, circumstances)
        # Half of a surrogate pair is escaped as JSON escapes it; UTF-8 has none.
        content = json.dumps(findings, ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace")
        return _fresh("report.json", content)

    def findings(self, analysis: Analysis, picture: Picture, circumstances: Circumstances) -> dict[str, Any]:
        """What the JSON holds."""
        return report_json(analysis, picture, *self._subject, **asdict(circumstances))

    @property
    def _subject(self) -> tuple[Checkpoint, str, Texts]:
        return self.meta, self.checkpoint_name, self.texts


def _fresh(name: str, content: bytes) -> Path:
    """`content` in a file called `name`, in a folder of its own among the uploads; it is swept soon."""
    path = Path(tempfile.mkdtemp(prefix=REPORT_PREFIX, dir=get_upload_folder())) / name
    path.write_bytes(content)
    return path
