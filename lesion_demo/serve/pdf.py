"""One picture's findings to take away, as a PDF of one page."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from PIL import Image

from lesion_demo import __version__
from lesion_demo.card.clinics import tested
from lesion_demo.checkpoint import Checkpoint
from lesion_demo.decision import Outcome
from lesion_demo.errors import ReportError
from lesion_demo.images import Pixels
from lesion_demo.prevalence import at_prevalence
from lesion_demo.serve.analysis import Analysis
from lesion_demo.serve.explanation import overlay
from lesion_demo.serve.phrases import (
    SYMBOLS,
    advice,
    artefact_note,
    below_prevalence,
    comparison,
    familiarity_result,
    fitted,
    heat_finding,
    heat_note,
    heat_warning,
    lead,
    measured,
    measured_line,
    out_of_scope,
    point_title,
    reasons,
    said_by,
    tone_note,
)
from lesion_demo.serve.report import NOTHING_NOTED, Circumstances, now
from lesion_demo.texts import Texts

FONT = "DejaVu"
UNSEEN = frozenset({"Cc", "Cf", "Cs"})
"""Unicode's categories of control and format characters and of halves of a pair."""
RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
"""Unicode's bidirectional classes of Hebrew and Arabic letters and of Arabic digits."""
INK, GREY, AMBER = (20, 28, 38), (90, 100, 112), (180, 83, 9)
MARGIN, WIDTH = 16, 178  # mm, of an A4 page


def render_pdf(
    analysis: Analysis,
    picture: Pixels,
    meta: Checkpoint,
    checkpoint_name: str,
    texts: Texts,
    circumstances: Circumstances = NOTHING_NOTED,
) -> bytes:
    """The same as `report_json` on a page of paper, with `picture` (uint8 [H, W, 3]) and its heat map.

    Raises:
        ReportError: the case number holds characters that cannot be printed; it names them.
    """
    file = circumstances.file
    words, (height, width) = texts.report, picture.shape[:2]
    page = _Page()
    page.line(words.title, size=17, bold=True)
    if case_id := " ".join(unicodedata.normalize("NFC", circumstances.case_id).split()):
        if lacking := page.cannot_print(case_id):
            raise ReportError(words.unprintable.format(characters=", ".join(map(_named, lacking))))
        page.line(words.case.format(case=case_id), size=11)
    if noted := circumstances.patient.in_words(texts):
        page.line(noted, size=11)
    if file:
        page.line(words.file.format(file=file), size=11)
    page.line(texts.page.disclaimer, size=8.5, colour=GREY)
    page.pictures(picture, overlay(picture, analysis.heat_map_for(height, width)))
    said = " ".join(filter(None, (say(analysis, texts) for say in (heat_warning, heat_finding, heat_note))))
    page.line(f"{words.picture}. {said}", 8.5, GREY)
    _verdict(page, analysis, texts, circumstances.dermoscopic)
    if analysis.assessable:
        _numbers(page, analysis, meta, texts, circumstances.prevalence)
    page.line(" ".join(filter(None, (_point(analysis, meta, texts), fitted(meta, texts)))), 9)
    _quality(page, analysis, texts)
    page.line(
        words.model.format(
            name=checkpoint_name, backbone=meta.backbone, trained=meta.trained_at or "—", version=__version__,
            weights=meta.weights_sha256[:16] or "—", time=now().strftime("%Y-%m-%d %H:%M UTC"),
        ),
        8.5, GREY,
    )  # fmt: skip
    if page.cannot_print(file + checkpoint_name):
        page.line(words.codes, 8.5, GREY)
    return page.bytes()


def _named(character: str) -> str:
    """`患 (U+60A3)`; of what cannot be seen, the code alone."""
    code = f"U+{ord(character):04X}"
    return code if unicodedata.category(character) in UNSEEN else f"{character} ({code})"


def _verdict(page: _Page, analysis: Analysis, texts: Texts, dermoscopic: bool) -> None:
    outcome, words = analysis.verdict, texts.verdict
    page.line(f"{SYMBOLS[outcome]} {words.outcomes[outcome.value]}", size=16, bold=True)
    scope = out_of_scope(analysis, texts, dermoscopic=dermoscopic)
    if scope:
        page.line(f"⚠ {words.not_dermoscopic_heading}: {scope}", colour=AMBER)
    if said := said_by(analysis, texts, dermoscopic=dermoscopic):
        page.line(said, 8.5, GREY)
    if analysis.first_of_several:
        page.line(f"⚠ {words.first_of_several_heading}: {words.first_of_several}", colour=AMBER)
    if why := reasons(analysis, texts):
        lead = words.not_assessable_lead if outcome is Outcome.NOT_ASSESSABLE else words.warning_lead
        page.line(f"⚠ {lead} {' '.join(why)}", colour=AMBER)
    page.line(advice(outcome, texts), bold=True)


def _numbers(page: _Page, analysis: Analysis, meta: Checkpoint, texts: Texts, prevalence: float) -> None:
    """As on the page: the one number and what it rests on, then this picture's own."""
    words = texts.verdict
    if number := lead(analysis, meta, texts, prevalence):
        page.line(" ".join(filter(None, (number.sentence, number.warning))), 11, bold=True)
        page.line(number.basis, 9, GREY)
    page.bar(analysis)
    after = at_prevalence(analysis.probability, meta.prevalence, prevalence)
    own = words.post_test.format(probability=texts.percent(after))
    why = below_prevalence(analysis, after, prevalence, texts)
    page.line(" ".join(filter(None, (comparison(analysis, texts), own, why))), 9)


def _point(analysis: Analysis, meta: Checkpoint, texts: Texts) -> str:
    point = analysis.operating_point
    parts = [texts.report.point.format(name=point_title(point.name, texts))]
    if scores := tested(meta, point):
        parts += measured(scores, texts)
    return " ".join(parts)


def _quality(page: _Page, analysis: Analysis, texts: Texts) -> None:
    words = texts.quality
    page.line(words.heading, bold=True)
    lines = []
    for check in analysis.quality.checks:
        value, limit = measured_line(check, texts)
        lines.append(f"{words.names.get(check.name, check.name)}: {value} {limit}, {words.results[check.severity]}")
    if (known := analysis.familiarity) is not None:
        limit = words.at_most.format(limit=texts.number(known.limit, 1))
        said = familiarity_result(known, analysis.quality, texts)
        lines.append(f"{words.familiarity}: {texts.number(known.distance, 1)} {limit}, {said}")
    page.line("; ".join(lines) + ".", 8.5)
    page.line(f"{artefact_note(analysis, texts)} {tone_note(analysis, texts)}", 8.5)


class _Page:
    """An A4 page, written from top to bottom. What it cannot print stands there as a code, such as `\\u60a3`."""

    def __init__(self) -> None:
        import matplotlib  # with the first report: a third of a second that the page's start can do without
        from fpdf import FPDF
        from fpdf.fonts import TTFFont

        self._pdf = FPDF(format="A4")
        folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # a font with most of the world's letters
        self._pdf.add_font(FONT, "", folder / "DejaVuSans.ttf")
        self._pdf.add_font(FONT, "B", folder / "DejaVuSans-Bold.ttf")
        self._pdf.set_margins(MARGIN, 14)
        self._pdf.c_margin = 0  # so that text begins where pictures do
        self._pdf.set_auto_page_break(True, 12)
        self._pdf.add_page()
        self._pdf.set_font(FONT)
        assert isinstance(self._pdf.current_font, TTFFont)
        self._letters = frozenset(self._pdf.current_font.cmap)

    def cannot_print(self, text: str) -> list[str]:
        """The characters of `text` that would be dropped or misplaced, each once, in their order.

        Those are what the font lacks, what has no shape, and what is written from right to left, which would have to
        be joined and turned around.
        """
        return [
            character
            for character in dict.fromkeys(text)
            if ord(character) not in self._letters
            or unicodedata.category(character) in UNSEEN
            or unicodedata.bidirectional(character) in RIGHT_TO_LEFT
        ]

    def line(self, text: str, size: float = 10, colour: tuple[int, int, int] = INK, *, bold: bool = False) -> None:
        """A paragraph; `size` in points."""
        self._pdf.set_font(FONT, "B" if bold else "", size)
        self._pdf.set_text_color(*colour)
        for character in self.cannot_print(text):
            text = text.replace(character, character.encode("unicode_escape").decode())
        self._pdf.multi_cell(WIDTH, size * 0.48, text, align="L", new_x="LMARGIN", new_y="NEXT")
        self._pdf.ln(1.6)

    def pictures(self, *pictures: Pixels, height: float = 87) -> None:
        """Side by side, uint8 [H, W, 3] of one shape, at most `height` mm high."""
        rows, columns = pictures[0].shape[:2]
        across = min((WIDTH - 4) / len(pictures), height * columns / rows)
        top = self._pdf.get_y()
        for number, picture in enumerate(pictures):
            self._pdf.image(Image.fromarray(picture), x=MARGIN + number * (across + 4), y=top, w=across)
        self._pdf.set_y(top + across * rows / columns + 2)

    def bar(self, analysis: Analysis, thickness: float = 4) -> None:
        """The probability from 0 to 1 against the threshold, with the uncertain zone as a paler band."""
        pdf, top = self._pdf, self._pdf.get_y() + 2
        low, high = analysis.uncertain_zone
        pdf.set_fill_color(235, 238, 242)
        pdf.rect(MARGIN, top, WIDTH, thickness, style="F")
        pdf.set_fill_color(205, 212, 222)
        pdf.rect(MARGIN + low * WIDTH, top, (high - low) * WIDTH, thickness, style="F")
        pdf.set_fill_color(*INK)
        pdf.rect(MARGIN, top + thickness * 0.3, max(analysis.probability * WIDTH, 0.4), thickness * 0.4, style="F")
        pdf.rect(MARGIN + analysis.operating_point.threshold * WIDTH - 0.4, top - 1.2, 0.8, thickness + 2.4, style="F")
        pdf.set_y(top + thickness + 3)

    def bytes(self) -> bytes:
        return bytes(self._pdf.output())
