"""The table of many pictures on the page: a line for each, what is remarked on it, and its thumbnail."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from PIL import Image

from lesion_demo.decision import CONCERN
from lesion_demo.images import Pixels
from lesion_demo.serve.analysis import Analysis
from lesion_demo.serve.batch import BatchFinding
from lesion_demo.serve.phrases import SYMBOLS, artefact_names, out_of_scope, reasons
from lesion_demo.texts import Texts
from lesion_demo.web.picture import jpeg_data
from lesion_demo.web.templates import part

Kind = Literal["html", "str", "number"]
COLUMNS: dict[str, Kind] = {
    "thumbnail": "html",
    "verdict": "str",
    "file": "str",
    "score": "number",
    "remarks": "str",
}
"""Of the table on the page, with Gradio's types; a number is sorted as one."""
WIDTHS: list[str | int] = ["104px", "124px", "190px", "96px", "186px"]
"""What each column has at least: all of them fit a tablet; page.css shares out what is left over."""
THUMBNAIL_SIDE = 72


@dataclass(frozen=True, order=True)
class Line:
    """A finding in the table on the page; lines are sorted by concern, then by their score from the highest.

    Files that cannot be read come last.
    """

    rank: int
    below: float
    cells: list[Any] = field(compare=False)

    @classmethod
    def of(cls, finding: BatchFinding, shown: Pixels | None, texts: Texts) -> Line:
        """Names and sentences go in as they are: the table shows its columns of the type `str` as text."""
        name, analysis = finding.item.name, finding.analysis
        if analysis is None or shown is None:
            return cls(len(CONCERN), 0.0, ["", texts.batch.unreadable, name, None, finding.error])
        said = f"{SYMBOLS[analysis.verdict]} {texts.verdict.outcomes[analysis.verdict.value]}"
        score = round(analysis.probability, 4) if analysis.assessable else None
        cells = [thumbnail(shown), said, name, score, remarks(analysis, texts)]
        return cls(CONCERN.index(analysis.verdict), -analysis.probability, cells)


def remarks(analysis: Analysis, texts: Texts) -> str:
    """Why there is no verdict or one to doubt, in the first tab's words, and what else is in the picture."""
    said = reasons(analysis, texts)
    if out := out_of_scope(analysis, texts, dermoscopic=not analysis.photograph):
        said.append(out)
    if analysis.first_of_several:
        said.append(texts.batch.first_of_several)
    if names := artefact_names(analysis, texts):
        said.append(texts.batch.also_shows.format(names=names))
    return " ".join(said)


def thumbnail(picture: Pixels) -> str:
    """An <img> that carries its pixels, uint8 [h, w, 3] scaled down: no file, no request."""
    image = Image.fromarray(picture)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return part("thumbnail", image.width, image.height, jpeg_data(np.asarray(image), quality=80))
