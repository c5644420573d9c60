"""The report to take away. It goes to the browser as it is made: no file with a case number, or
notes on a patient, ever lies on the server."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Any

from lesion_demo.checkpoint import Checkpoint
from lesion_demo.images import Pixels
from lesion_demo.serve.analysis import Analysis
from lesion_demo.serve.pdf import render_pdf
from lesion_demo.serve.record import record_text
from lesion_demo.serve.report import Circumstances, report_json, today
from lesion_demo.texts import Texts


@dataclass(frozen=True)
class Download:
    """A file for the browser to save: its content in base64."""

    name: str
    type: str
    content: str

    @classmethod
    def of(cls, content: bytes, media_type: str, name: str) -> Download:
        return cls(name, media_type, base64.b64encode(content).decode())


@dataclass(frozen=True)
class ReportWriter:
    """Writes reports of one checkpoint in one language."""

    meta: Checkpoint
    checkpoint_name: str
    texts: Texts

    def pdf(self, analysis: Analysis, picture: Pixels, circumstances: Circumstances) -> Download:
        """A PDF on `analysis` of `picture`, uint8 [H, W, 3]."""
        content = render_pdf(analysis, picture, *self._subject, circumstances)
        return Download.of(content, "application/pdf", self._name(circumstances, "pdf"))

    def json(self, analysis: Analysis, picture: Pixels, circumstances: Circumstances) -> Download:
        """The same as JSON."""
        findings = self.findings(analysis, picture, circumstances)
        # Half of a surrogate pair is escaped as JSON escapes it; UTF-8 has none.
        content = json.dumps(findings, ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace")
        return Download.of(content, "application/json", self._name(circumstances, "json"))

    def text(self, analysis: Analysis, circumstances: Circumstances) -> str:
        """What goes into a patient's record, as plain text."""
        return record_text(
            analysis,
            *self._subject,
            dermoscopic=circumstances.dermoscopic,
            prevalence=circumstances.prevalence,
        )

    def _name(self, circumstances: Circumstances, suffix: str) -> str:
        """`report-CASE-2026-01-31.pdf`, of letters and digits that every system takes."""
        case = re.sub(r"[^\w]+", "-", circumstances.case_id).strip("-").encode("utf-8", "ignore").decode()
        return "-".join(filter(None, (self.texts.report.file_name, case, today()))) + f".{suffix}"

    def findings(self, analysis: Analysis, picture: Pixels, circumstances: Circumstances) -> dict[str, Any]:
        """What the JSON holds."""
        return report_json(analysis, picture, *self._subject, circumstances)

    @property
    def _subject(self) -> tuple[Checkpoint, str, Texts]:
        return self.meta, self.checkpoint_name, self.texts
