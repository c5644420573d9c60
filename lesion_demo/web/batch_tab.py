"""The tab for many pictures: a table that fills while it runs, and can be stopped and taken away; and its endpoint."""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio.utils import get_upload_folder
from PIL import Image

from lesion_demo.decision import DEFAULT_OPERATING_POINT, Outcome
from lesion_demo.errors import LesionDemoError, reason
from lesion_demo.images import Pixels as Picture
from lesion_demo.images.load import PICTURE_SUFFIXES
from lesion_demo.serve.analysis import Analysis, Analyzer
from lesion_demo.serve.batch import BatchFinding, BatchItem, ReportArchive, analyze_batch, open_inputs
from lesion_demo.serve.phrases import SYMBOLS, artefact_names, out_of_scope, point_choices, reasons
from lesion_demo.serve.table import append_csv, write_csv
from lesion_demo.texts import Texts
from lesion_demo.web.picture import display_copy
from lesion_demo.web.places import BATCH_EVENTS, PRECEDENCE, PRIVATE
from lesion_demo.web.templates import fine, part

Kind = Literal["html", "str", "number"]
COLUMNS: dict[str, Kind] = {
    "thumbnail": "html",
    "verdict": "str",
    "file": "str",
    "score": "number",
    "remarks": "str",
}
"""Of the table on the page, with Gradio's types; a number is sorted as one."""
WIDTHS: list[str | int] = ["100px", "170px", "220px", "100px", "420px"]
ORDER = (Outcome.MALIGNANT, Outcome.UNCERTAIN, Outcome.NOT_ASSESSABLE, Outcome.BENIGN)
"""Of the lines: what needs a doctor first, then what has to be taken again; files that cannot be read come last."""
THUMBNAIL_SIDE = 72
GROWTH = 1.1
"""The table is sent as a whole: once it has grown by so much, so that the time for a row stays the same."""
DESCRIPTION = (
    "Analyses many pictures, or zips of them, at one of the checkpoint's operating points. Returns a list with an "
    "entry for each file (`verdict` is benign, malignant, uncertain, not_assessable, or empty where `error` says why), "
    "and the same as a CSV file. `file` is another one in every entry: a file's name, or a zip's and the path inside; "
    "names that look alike are numbered in the order of the files, as in IMG_1.JPG (1) and IMG_1.JPG (2)."
)


@dataclass(frozen=True)
class Batch:
    """A run over some files.

    Attributes:
        unpacked: a folder for the pictures out of zips; it is deleted when the run ends.
        results: a folder for what may be taken away; Gradio deletes what it was told of with the other uploads.
    """

    analyzer: Analyzer
    unpacked: Path
    results: Path

    @classmethod
    @contextmanager
    def begin(cls, analyzer: Analyzer) -> Iterator[Batch]:
        """A run that ends with the `with` block: when it is done, was stopped or failed."""
        uploads = get_upload_folder()
        results = Path(tempfile.mkdtemp(prefix="batch-", dir=uploads))
        try:
            with tempfile.TemporaryDirectory(prefix="unpacked-", dir=uploads) as unpacked:
                yield cls(analyzer, Path(unpacked), results)
        finally:
            if not any(results.iterdir()):
                results.rmdir()

    @property
    def table(self) -> Path:
        return self.results / "results.csv"

    def findings(self, files: list[str], point_name: str) -> tuple[int, Iterator[BatchFinding]]:
        """How many there will be, and one after the other; before each, single pictures have precedence."""
        items = open_inputs([Path(file) for file in files], self.unpacked)
        return len(items), analyze_batch(self.analyzer, _in_turn(items), self.analyzer.point(point_name))


def _in_turn(items: Iterable[BatchItem]) -> Iterator[BatchItem]:
    for item in items:
        PRECEDENCE.give_way()
        yield item


def add_batch_tab(analyzer: Analyzer, texts: Texts) -> None:
    """Fill the current tab, and add the endpoint `/analyze_batch`."""
    words = texts.batch
    gr.HTML(fine(words.intro))
    files = gr.File(
        file_count="multiple", file_types=[*sorted(PICTURE_SUFFIXES), ".zip"], label=words.files_label,
        height=160, elem_id="batch-files",
    )  # fmt: skip
    point = gr.Radio(
        point_choices(analyzer.meta, texts),
        value=DEFAULT_OPERATING_POINT, label=texts.verdict.point_label, elem_id="batch-point",
    )  # fmt: skip
    with gr.Row():
        run = gr.Button(words.run, variant="primary", elem_id="batch-run")
        stop = gr.Button(words.cancel, elem_id="batch-stop")
    status = gr.HTML("", elem_id="batch-status")
    table = gr.Dataframe(
        headers=[words.columns[name] for name in COLUMNS], datatype=[*COLUMNS.values()], interactive=False,
        label=words.table_label, max_height=560, wrap=True, column_widths=WIDTHS, elem_id="batch-table", visible=False,
        buttons=[],
    )  # fmt: skip
    with gr.Row():
        csv_file = gr.DownloadButton(words.csv, visible=False, elem_id="batch-csv")
        zip_file = gr.DownloadButton(words.reports, visible=False, elem_id="batch-zip")
    outputs = [status, table, csv_file, zip_file]
    running = run.click(
        _runner(analyzer, texts), [files, point], outputs, show_progress_on=[status], **BATCH_EVENTS, **PRIVATE
    )
    stop.click(None, cancels=[running], **PRIVATE)
    _add_endpoint(analyzer, texts)


def _runner(analyzer: Analyzer, texts: Texts) -> Any:
    def run(files: list[str] | None, point: str) -> Iterator[list[Any]]:
        if not files:
            yield [_said(texts.batch.nothing), gr.skip(), gr.skip(), gr.skip()]
            return
        with Batch.begin(analyzer) as batch:
            try:
                total, findings = batch.findings(files, point)
                yield from _progress(batch, texts, total, findings)
            except LesionDemoError as error:
                yield [_said(str(error)), gr.skip(), gr.skip(), gr.skip()]

    return run


def _progress(batch: Batch, texts: Texts, total: int, findings: Iterator[BatchFinding]) -> Iterator[list[Any]]:
    """After every picture: the state in words, the table so far where it is due, and, from the first on, both files."""
    words = texts.batch
    archive = ReportArchive(batch.results / "reports.zip", batch.analyzer, texts)
    # Gradio deletes the files that it was told of: so it is told before they are written, as a run may be stopped.
    files = [gr.update(value=str(path), visible=False) for path in (batch.table, archive.path)]
    yield [_said(words.progress.format(done=0, total=total)), gr.skip(), *files]
    lines: list[Line] = []
    failed = shown_lines = 0
    write_csv(batch.table, [])
    for done, finding in enumerate(findings, start=1):
        finding, shown = _reported(finding, archive)
        lines.append(Line.of(finding, shown, texts))
        append_csv(batch.table, finding.row)
        failed += bool(finding.error)
        said = words.progress.format(done=done, total=total)
        if done == total:
            said = words.done.format(total=total, assessed=total - failed, failed=failed)
        due = done == total or done >= shown_lines * GROWTH
        shown_lines = done if due else shown_lines
        yield [
            _said(said),
            gr.update(value=[line.cells for line in sorted(lines)], visible=True) if due else gr.skip(),
            gr.update(value=str(batch.table), visible=True),
            gr.update(value=str(archive.path), visible=True) if failed < done else gr.skip(),
        ]


def _reported(finding: BatchFinding, archive: ReportArchive) -> tuple[BatchFinding, Picture | None]:
    """`finding`, reported in `archive`, and its picture for display; or why there can be no report.

    Raises:
        LesionDemoError: no report at all can be written any more.
    """
    if finding.picture is None:
        return finding, None
    try:
        shown = display_copy(finding.picture)
        archive.add(finding, shown)
    except LesionDemoError:
        raise
    except Exception as error:  # noqa: BLE001  # one bad file never stops the rest
        return BatchFinding(finding.item, error=reason(error, finding.item.name)), None
    return finding, shown


def _add_endpoint(analyzer: Analyzer, texts: Texts) -> None:
    def analyze_batch_files(files: list[str] | None, operating_point: str) -> tuple[list[dict[str, str]], str]:
        if not files:
            raise gr.Error(escape(texts.batch.nothing, quote=False), print_exception=False)
        with Batch.begin(analyzer) as batch:
            try:
                _, findings = batch.findings(files, operating_point)
                rows = [finding.row for finding in findings]
                write_csv(batch.table, rows)
            except LesionDemoError as error:
                raise gr.Error(escape(str(error), quote=False), print_exception=False) from error
            return [asdict(row) for row in rows], str(batch.table)

    names = [one.name for one in analyzer.meta.operating_points]
    gr.Button(visible=False).click(
        analyze_batch_files,
        [
            gr.File(file_count="multiple", label="files", visible=False),
            gr.Radio(names, value=DEFAULT_OPERATING_POINT, label="operating_point", visible=False),
        ],
        [gr.JSON(label="rows", visible=False), gr.File(label="csv", visible=False)],
        api_name="analyze_batch",
        api_description=DESCRIPTION,
        **BATCH_EVENTS,
    )


@dataclass(frozen=True, order=True)
class Line:
    """A finding in the table on the page; lines are sorted by concern, then by their score from the highest."""

    rank: int
    below: float
    cells: list[Any] = field(compare=False)

    @classmethod
    def of(cls, finding: BatchFinding, shown: Picture | None, texts: Texts) -> Line:
        """Names and sentences go in as they are: the table shows its columns of the type `str` as text."""
        name, found = finding.item.name, finding.analysis
        if found is None or shown is None:
            return cls(len(ORDER), 0.0, ["", texts.batch.unreadable, name, None, finding.error])
        said = f"{SYMBOLS[found.verdict]} {texts.verdict.outcomes[found.verdict.value]}"
        score = round(found.probability, 4) if found.assessable else None
        cells = [_thumbnail(shown), said, name, score, remarks(found, texts)]
        return cls(ORDER.index(found.verdict), -found.probability, cells)


def remarks(found: Analysis, texts: Texts) -> str:
    """Why there is no verdict or one to doubt, in the first tab's words, and what else is in the picture."""
    said = reasons(found, texts)
    if out := out_of_scope(found, texts, dermoscopic=not found.photograph):
        said.append(out)
    if found.first_of_several:
        said.append(texts.batch.first_of_several)
    if names := artefact_names(found, texts):
        said.append(texts.batch.also_shows.format(names=names))
    return " ".join(said)


def _thumbnail(picture: Picture) -> str:
    """An <img> that carries its pixels, uint8 [h, w, 3] scaled down: no file, no request."""
    image = Image.fromarray(picture)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    data = base64.b64encode(file.getvalue()).decode()
    return part("thumbnail", image.width, image.height, data)


def _said(text: str) -> str:
    return part("said", text)
