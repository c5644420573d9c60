"""The tab for many pictures: a table that fills while it runs, and can be stopped and taken away; and its endpoint."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from lesion_demo.decision import DEFAULT_OPERATING_POINT
from lesion_demo.errors import LesionDemoError, reason
from lesion_demo.images import Pixels
from lesion_demo.images.load import PICTURE_SUFFIXES
from lesion_demo.serve.analysis import Analyzer
from lesion_demo.serve.batch import BatchFinding, BatchItem, ReportArchive, analyze_batch, open_inputs
from lesion_demo.serve.labels import distinct_labels
from lesion_demo.serve.phrases import point_choices
from lesion_demo.serve.several import FEWEST, MOST
from lesion_demo.serve.table import append_csv, write_csv
from lesion_demo.texts import Texts
from lesion_demo.web.batch_table import COLUMNS, WIDTHS, Line
from lesion_demo.web.one_lesion import Seen, dates_html, judged_together, lesion_html, unreadable_html
from lesion_demo.web.picture import display_copy
from lesion_demo.web.places import BATCH_EVENTS, PRECEDENCE, PRIVATE
from lesion_demo.web.templates import fine, part

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


@dataclass(frozen=True)
class BatchPanel:
    """What else may fill or read: the files, whether they show one lesion, what is said meanwhile; a line's picture.

    Attributes:
        chosen: label of the picture in the line that was chosen last, as `open_inputs` gives it.
        opener: opens that picture by itself.
    """

    files: gr.File
    one_lesion: gr.Checkbox
    status: gr.HTML
    lesion: gr.HTML
    chosen: gr.Textbox
    opener: gr.Button


def add_batch_tab(analyzer: Analyzer, texts: Texts) -> BatchPanel:
    """Fill the current tab."""
    words = texts.batch
    gr.HTML(fine(words.intro))
    files = gr.File(
        file_count="multiple", file_types=[*sorted(PICTURE_SUFFIXES), ".zip"], label=words.files_label,
        height=160, elem_id="batch-files",
    )  # fmt: skip
    gr.Button(words.add, elem_id="batch-add")  # see intake.js
    one_lesion = gr.Checkbox(False, label=words.one_lesion, info=words.one_lesion_info, elem_id="one-lesion")
    two_dates = gr.Checkbox(False, label=words.two_dates, info=words.two_dates_info, visible=False, elem_id="two-dates")
    point = gr.Radio(
        point_choices(analyzer.meta, texts),
        value=DEFAULT_OPERATING_POINT, label=texts.verdict.point_label, elem_id="batch-point",
    )  # fmt: skip
    with gr.Row():
        run = gr.Button(words.run, variant="primary", elem_id="batch-run")
        stop = gr.Button(words.cancel, elem_id="batch-stop")
    status = gr.HTML("", elem_id="batch-status")
    lesion = gr.HTML("", elem_id="lesion")
    table = gr.Dataframe(
        headers=[words.columns[name] for name in COLUMNS], datatype=[*COLUMNS.values()], interactive=False,
        label=words.table_label, max_height=560, wrap=True, column_widths=WIDTHS, elem_id="batch-table", visible=False,
        buttons=[],
    )  # fmt: skip
    chosen, opener = gr.Textbox(visible="hidden"), gr.Button(visible=False, elem_id="batch-open")
    with gr.Row():
        csv_file = gr.DownloadButton(words.csv, visible=False, elem_id="batch-csv")
        zip_file = gr.DownloadButton(words.reports, visible=False, elem_id="batch-zip")
    outputs = [status, table, csv_file, zip_file, lesion]
    running = run.click(
        _runner(analyzer, texts), [files, point, one_lesion, two_dates], outputs, show_progress_on=[status],
        **BATCH_EVENTS, **PRIVATE,
    )  # fmt: skip
    stop.click(None, cancels=[running], **PRIVATE)
    # One answer for a lesion stays no longer than what it was given for.
    one_lesion.change(lambda ticked: gr.update(visible=ticked), one_lesion, two_dates, queue=False, **PRIVATE)
    changes = [files.change, point.change, one_lesion.change, two_dates.change]
    gr.on(changes, None, None, lesion, js="() => ['']", **PRIVATE)
    # A button, and not the choice itself: that moves with the arrow keys, and would open every line on the way.
    table.select(_offerer(texts), files, [chosen, opener], show_progress="hidden", **PRIVATE)
    for event in (files.change, run.click):
        event(lambda: gr.update(visible=False), None, opener, show_progress="hidden", **PRIVATE)
    return BatchPanel(files, one_lesion, status, lesion, chosen, opener)


def _offerer(texts: Texts) -> Any:
    """Offers to open the picture of a chosen line; one out of a zip is gone by then, and this is said."""

    def offer(files: list[str] | None, line: gr.SelectData) -> tuple[str, Any]:
        label = str(line.row_value[list(COLUMNS).index("file")])
        kept = file_called(label, files or []) is not None
        words = texts.batch.open if kept else texts.batch.open_in_zip
        return label, gr.update(value=words.format(name=label), interactive=kept, visible=True)

    return offer


def file_called(label: str, files: Sequence[str]) -> str | None:
    """The one of `files` whose line in the table has this label; None where it lay in a zip."""
    labels = distinct_labels(Path(file).name for file in files)
    return next((file for file, name in zip(files, labels, strict=True) if name == label), None)


def _runner(analyzer: Analyzer, texts: Texts) -> Any:
    words = texts.batch

    def run(
        files: list[str] | None, point: str, one_lesion: bool = False, two_dates: bool = False
    ) -> Iterator[list[Any]]:
        kind = "" if not one_lesion else "dates" if two_dates else "lesion"
        if not files:
            yield _saying(words.nothing)
            return
        with Batch.begin(analyzer) as batch:
            try:
                total, findings = batch.findings(files, point)
                if kind == "dates" and total != 2:
                    yield _saying(words.two_dates_count.format(label=words.two_dates, count=texts.number(total)))
                    return
                if kind and not FEWEST <= total <= MOST:
                    counts = {"fewest": FEWEST, "most": MOST, "count": texts.number(total)}
                    yield _saying(words.one_lesion_count.format(label=words.one_lesion, **counts))
                    return
                yield from _progress(batch, texts, total, findings, kind)
            except LesionDemoError as error:
                yield _saying(str(error))

    return run


def _saying(text: str) -> list[Any]:
    """Why there is no run, and so no answer for a lesion either."""
    return [_said(text), gr.skip(), gr.skip(), gr.skip(), ""]


def _progress(
    batch: Batch, texts: Texts, total: int, findings: Iterator[BatchFinding], kind: str = ""
) -> Iterator[list[Any]]:
    """After every picture: the state in words, the table so far where it is due, and, from the first on, both files.

    In the end, where they show one lesion, its answer in place of the table: see `_answer` for the `kind` of it.
    """
    words = texts.batch
    archive = ReportArchive(batch.results / "reports.zip", batch.analyzer, texts)
    # Gradio deletes the files that it was told of: so it is told before they are written, as a run may be stopped.
    files = [gr.update(value=str(path), visible=False) for path in (batch.table, archive.path)]
    table = gr.update(visible=False) if kind else gr.skip()
    yield [_said(words.progress.format(done=0, total=total)), table, *files, ""]
    lines: list[Line] = []
    seen: list[Seen] = []
    failed = shown_lines = 0
    write_csv(batch.table, [])
    for done, finding in enumerate(findings, start=1):
        finding, shown = _reported(finding, archive)
        if kind:
            seen.append((finding, shown))
        else:
            lines.append(Line.of(finding, shown, texts))
        append_csv(batch.table, finding.row)
        failed += bool(finding.error)
        said = words.progress.format(done=done, total=total)
        if done == total:
            said = words.done.format(total=total, assessed=total - failed, failed=failed)
        due = not kind and (done == total or done >= shown_lines * GROWTH)
        shown_lines = done if due else shown_lines
        yield [
            _said(said),
            gr.update(value=[line.cells for line in sorted(lines)], visible=True) if due else gr.skip(),
            gr.update(value=str(batch.table), visible=True),
            gr.update(value=str(archive.path), visible=True) if failed < done else gr.skip(),
            gr.skip(),
        ]
    if kind:
        yield [gr.skip(), gr.skip(), gr.update(value=str(batch.table)), gr.skip(), _answer(batch, seen, texts, kind)]


def _answer(batch: Batch, seen: list[Seen], texts: Texts, kind: str) -> str:
    """What the pictures `seen` say of the lesion, as HTML.

    Args:
        kind: `lesion` for one answer, whose line is added to the table to take away; `dates` for a comparison.
    """
    meta, lesion = batch.analyzer.meta, judged_together(seen)
    if lesion is None:
        return unreadable_html(seen, texts)
    if kind == "dates":
        return dates_html(seen, meta, batch.analyzer.folder.name, texts)
    append_csv(batch.table, lesion.row(meta.local))
    return lesion_html(lesion, seen, meta, batch.analyzer.folder.name, texts)


def _reported(finding: BatchFinding, archive: ReportArchive) -> tuple[BatchFinding, Pixels | None]:
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


def add_batch_endpoint(analyzer: Analyzer, texts: Texts) -> None:
    """Add `/analyze_batch`; the names of its parameters are those of the function inside."""

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


def _said(text: str) -> str:
    return part("said", text)
