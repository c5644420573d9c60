"""What the page says of the picture on display, as the controls stand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from lesion_demo.card import ModelFacts
from lesion_demo.config import OperatingPoint
from lesion_demo.errors import ImageError
from lesion_demo.images import Pixels
from lesion_demo.serve.analysis import Analysis, Analyzer
from lesion_demo.serve.patient import UNSTATED, Patient
from lesion_demo.serve.report import Circumstances
from lesion_demo.texts import Texts
from lesion_demo.web.heat import heat_html
from lesion_demo.web.picture import display_copy, needs_preview
from lesion_demo.web.places import PRECEDENCE
from lesion_demo.web.predictive_values import meaning_html
from lesion_demo.web.quality import quality_html
from lesion_demo.web.report_download import ReportWriter
from lesion_demo.web.templates import error_card, part, said_of
from lesion_demo.web.verdict import CUSTOM, point_html, verdict_html


@dataclass(frozen=True, eq=False)
class Analyzed:
    """What a session keeps of its picture.

    Compared by identity: Gradio asks whether the state has changed.

    Attributes:
        picture: a copy for display, uint8 [h, w, 3].
        preview: would a browser fail to show the file itself?
    """

    analysis: Analysis
    picture: Pixels
    preview: bool = False

    @property
    def id(self) -> str:
        return self.analysis.id


@dataclass(frozen=True, eq=False)
class Refused:
    """Why nothing was found in the picture `id`: a card, as HTML."""

    id: str
    card: str


Kept = Analyzed | Refused | None


@dataclass(frozen=True)
class Screen:
    """What the page showed when it asked.

    Attributes:
        id: of the picture on display; empty where there is none.
        answered: does it show what was found in that picture?
    """

    id: str
    answered: bool

    def lost(self, kept: Kept) -> bool:
        """Does it show an answer that the session no longer has?"""
        return self.answered and not self.shows(kept)

    def shows(self, kept: Kept) -> bool:
        return kept is not None and kept.id == self.id


@dataclass(frozen=True)
class Choices:
    """The controls as they stand: `threshold` in 0–1, `prevalence` in percent."""

    point: str
    threshold: float
    dermoscopic: bool
    prevalence: float

    def operating_point(self, analyzer: Analyzer) -> OperatingPoint:
        return analyzer.point(self.point, self.threshold if self.point == CUSTOM else None)

    def circumstances(self, case_id: str = "", patient: Patient = UNSTATED) -> Circumstances:
        return Circumstances(case_id.strip(), self.dermoscopic, self.prevalence / 100, patient)


@dataclass(frozen=True)
class Request:
    """What the session keeps, the controls as they stand, and what the page shows."""

    kept: Kept
    choices: Choices
    screen: Screen

    @classmethod
    def of(cls, kept: Kept, *values: Any) -> Request:
        *choices, screen = values
        return cls(kept, Choices(*choices), Screen(**screen))

    @property
    def lost(self) -> bool:
        return self.screen.lost(self.kept)

    @property
    def analyzed(self) -> Analyzed | None:
        """What was found in the picture on display."""
        return self.kept if isinstance(self.kept, Analyzed) and self.screen.shows(self.kept) else None

    @property
    def refused(self) -> Refused | None:
        """Why nothing was found in it."""
        return self.kept if isinstance(self.kept, Refused) and self.screen.shows(self.kept) else None


@dataclass(frozen=True)
class View:
    """What the page says of a picture as the controls stand."""

    analyzer: Analyzer
    facts: ModelFacts
    texts: Texts

    def find(self, path: str | None, picture_id: str) -> Kept:
        """What is found in the file at `path`, or why nothing is."""
        if path is None:
            return None
        try:
            with PRECEDENCE.single():
                analysis, picture = self.analyzer.analyze_file(path)
        except ImageError as error:
            return Refused(picture_id, error_card(str(error), self.texts))
        return Analyzed(replace(analysis, id=picture_id), display_copy(picture), needs_preview(path))

    def judged(self, analyzed: Analyzed, choices: Choices) -> Analysis:
        point = choices.operating_point(self.analyzer)
        return analyzed.analysis.at(point, self.analyzer.margin_at(point))

    def result(self, analyzed: Analyzed, choices: Choices) -> str:
        judged = self.judged(analyzed, choices)
        html = verdict_html(
            judged,
            self.analyzer.meta,
            self.texts,
            dermoscopic=choices.dermoscopic,
            prevalence=choices.prevalence / 100,
        )
        return said_of(analyzed.id, html)

    def meaning(self, analyzed: Analyzed, choices: Choices) -> str:
        judged = self.judged(analyzed, choices)
        html = meaning_html(judged, self.analyzer.meta, self.texts, prevalence=choices.prevalence / 100)
        return said_of(analyzed.id, html)

    def record(self, analyzed: Analyzed, choices: Choices) -> str:
        """The text for a patient's record, and a button that copies it."""
        writer = ReportWriter(self.analyzer.meta, self.analyzer.folder.name, self.texts)
        text = writer.text(self.judged(analyzed, choices), choices.circumstances())
        return said_of(analyzed.id, part("record", self.texts, text))

    def quality(self, analyzed: Analyzed) -> str:
        return said_of(analyzed.id, quality_html(analyzed.analysis, self.facts, self.texts))

    def heat(self, analyzed: Analyzed) -> str:
        return said_of(analyzed.id, heat_html(analyzed.picture, analyzed.analysis, self.texts))

    def note(self, choices: Choices) -> str:
        return point_html(self.analyzer.meta, choices.operating_point(self.analyzer), self.texts)
