"""What happens on the page: a picture comes in, an example is chosen, a control is moved, a report is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from lesion_demo.errors import LesionDemoError
from lesion_demo.images import Pixels
from lesion_demo.serve.analysis import Analysis
from lesion_demo.serve.patient import Patient
from lesion_demo.texts import Texts
from lesion_demo.web.batch_tab import BatchPanel, file_called
from lesion_demo.web.places import LIVE, MODEL_EVENTS, PRIVATE
from lesion_demo.web.reload import REMEMBERED
from lesion_demo.web.report_download import Circumstances, Download, ReportWriter
from lesion_demo.web.templates import part, said_of
from lesion_demo.web.verdict import CUSTOM
from lesion_demo.web.view import Analyzed, Kept, Request, Screen, View
from lesion_demo.web.zoom import History, ZoomControls, connect_zoom, followed

SCREEN = "(...values) => [...values.slice(0, -1), lesion.screen()]"
"""Puts what the page shows in the place of an event's last value, at the moment that it is sent."""
SEND = SCREEN.replace("screen", "send")
FAILED = "() => { lesion.failed(); }"
PatientFields = tuple[gr.Textbox, gr.Dropdown, gr.Dropdown]
"""Age, sex and body site."""
ENDED = "() => { lesion.failed('ended'); }"
FOCUS_ON_ADD = """() => {
  const focus = tries => {  // the button is shown when the list of files is
    const button = document.getElementById('batch-add');
    button?.focus();
    if (document.activeElement !== button && tries) setTimeout(focus, 50, tries - 1);
  };
  focus(40);
}"""
NO_NOTES = "['', '', '', '']"
"""Another picture may be another patient's: what was noted of the last one must not get into its report."""
ONE, SEVERAL = "one", "many"
"""The ids of the tabs for one picture and for several."""


@dataclass(frozen=True)
class Panel:
    """The components that events read and write."""

    picture: gr.Image
    dermoscopic: gr.Checkbox
    result: gr.HTML
    point: gr.Radio
    threshold: gr.Slider
    point_note: gr.HTML
    heat: gr.HTML
    prevalence: gr.Slider
    meaning: gr.HTML
    quality: gr.HTML
    record: gr.HTML
    case_id: gr.Textbox
    patient: PatientFields
    examples: gr.Gallery
    closer: ZoomControls
    more: gr.Button
    kept: gr.State
    screen: gr.JSON
    again: gr.Button
    judge: gr.Button
    wipe: gr.Button
    restore: gr.Button

    @property
    def notes(self) -> list[Any]:
        """What the reader notes of the patient, for the report alone."""
        return [self.case_id, *self.patient]

    @property
    def asking(self) -> list[Any]:
        """What `Request` is made of, in its order."""
        choices = [self.point, self.threshold, self.dermoscopic, self.prevalence]
        return [self.kept, *choices, self.screen]


def connect(view: View, panel: Panel, examples: Sequence[Path]) -> None:
    """Give the page its behaviour. `examples` are the files behind the gallery.

    A picture is analysed into the session's state; when that has changed, everything is drawn from it and from the
    controls as they stand then. Each part of the page is written by one event only, which runs once at a time and again
    if something has changed meanwhile: so no older answer can come after a newer one.
    """

    def find(path: str | None, history: History, screen: dict[str, Any]) -> tuple[Kept, History, str]:
        """What is found, and by it whether a dermatoscope was used: `yes`, `no`, or nothing."""
        kept = view.find(path, Screen(**screen).id)
        detected = ("no" if kept.analysis.photograph else "yes") if isinstance(kept, Analyzed) else ""
        return kept, followed(history, path), detected

    def pick(chosen: gr.SelectData) -> str:
        return str(examples[int(chosen.index)])

    # Of Gradio's events for a picture, `upload` alone comes for files, pastes and the camera, and not for our previews.
    panel.picture.upload(None, None, panel.notes, js=f"() => {{ lesion.begin(); return {NO_NOTES}; }}", **PRIVATE)
    panel.picture.clear(None, js="() => { lesion.clear(); }", **PRIVATE)
    held, detected = [panel.kept, panel.closer.history], gr.Textbox(visible="hidden")
    finding = gr.on(
        [panel.picture.upload, panel.again.click], find,
        [panel.picture, panel.closer.history, panel.screen], [*held, detected], js=SEND,
        trigger_mode="always_last", show_progress="hidden", **MODEL_EVENTS, **PRIVATE,
    )  # fmt: skip
    taken = "(found, said) => found === '' || lesion.corrected() ? said : found === 'yes'"
    answered = finding.success(None, [detected, panel.dermoscopic], panel.dermoscopic, js=taken, **PRIVATE)
    panel.dermoscopic.input(None, None, None, js="() => { lesion.correct(); }", **PRIVATE)
    # Through the queue, as the event names the example's file; one at a time, so that the last choice comes last.
    picking = panel.examples.select(
        pick, None, panel.picture, js="() => { lesion.begin(); }", trigger_mode="multiple",
        show_progress="hidden", **PRIVATE,
    )  # fmt: skip
    picking.success(None, None, panel.notes, js=f"() => {{ lesion.again(); return {NO_NOTES}; }}", **PRIVATE)
    for event in (finding, picking):
        event.failure(None, js=FAILED, **PRIVATE)
    nothing = "() => ['', '', '', '', '']"
    parts = [panel.result, panel.heat, panel.meaning, panel.quality, panel.record]
    panel.wipe.click(None, None, parts, js=nothing, **PRIVATE)
    _connect_controls(view, panel, answered)
    _connect_preview(panel)
    connect_zoom(panel.closer, panel.picture, panel.kept, view.texts, ENDED)
    _connect_reload(panel, view.texts)


def _connect_controls(view: View, panel: Panel, answered: Any) -> None:
    """What was found is drawn when it is there, and anew when a control is moved; the network rests.

    Args:
        answered: the event after which the box for the dermatoscope stands as it was detected: judged before, the page
            would take the box of the last picture for the reader's word on this one.
    """

    def judge(*values: Any) -> list[Any]:
        request = Request.of(*values)
        note = view.note(request.choices)
        if analyzed := request.analyzed:
            choices = request.choices
            return [
                view.result(analyzed, choices),
                note,
                view.meaning(analyzed, choices),
                view.record(analyzed, choices),
            ]
        if refused := request.refused:
            return [said_of(refused.id, refused.card), note, "", ""]
        return [_ended(request), note, gr.skip(), gr.skip()]

    def look(*values: Any) -> list[Any]:
        request = Request.of(*values)
        if analyzed := request.analyzed:
            return [view.heat(analyzed), view.quality(analyzed), gr.skip()]
        if request.refused:
            return ["", "", gr.skip()]
        return [gr.skip(), gr.skip(), _ended(request)]

    def offer_threshold(name: str) -> Any:
        return gr.update(visible=name == CUSTOM)

    panel.point.input(offer_threshold, panel.point, panel.threshold, **LIVE)
    controls = [panel.point.input, panel.threshold.input, panel.dermoscopic.input, panel.prevalence.input]
    judged = [panel.result, panel.point_note, panel.meaning, panel.record]
    judging = gr.on([panel.judge.click, *controls], judge, panel.asking, judged, js=SCREEN, **LIVE)
    answered.then(None, js="() => { document.getElementById('judge').click(); }", **PRIVATE)
    looking = panel.kept.change(look, panel.asking, [panel.heat, panel.quality, panel.result], js=SCREEN, **LIVE)
    for event in (judging, looking):
        event.failure(None, js=FAILED, **PRIVATE)


def _connect_preview(panel: Panel) -> None:
    """A picture that browsers cannot show gets a copy that they can; it takes its place if it is still on display."""

    def preview(kept: Kept) -> tuple[Pixels | None, str]:
        return (kept.picture, kept.id) if isinstance(kept, Analyzed) and kept.preview else (None, "")

    copy, owner = gr.Image(visible="hidden"), gr.Textbox(visible="hidden")
    made = panel.kept.change(preview, panel.kept, [copy, owner], **LIVE)
    show = "(copy, owner) => lesion.fits(owner) ? copy : undefined"
    made.success(None, [copy, owner], panel.picture, js=show, **PRIVATE)


def _connect_reload(panel: Panel, texts: Texts) -> None:
    """Remember the picture on display with each answer, and let the hidden button `restore` bring it back."""

    def remember(history: History, *values: Any) -> None:
        request = Request.of(*values)
        if request.analyzed:
            REMEMBERED.keep(request.screen.id, (history, request.choices))

    def restore(screen: dict[str, Any]) -> list[Any]:
        last = REMEMBERED.find(str(screen["id"]))
        if last is None:
            raise gr.Error(texts.page.failure_headings["ended"], print_exception=False)
        history, choices = last
        threshold = gr.update(value=choices.threshold, visible=choices.point == CUSTOM)
        return [history[-1].path, history, choices.point, threshold, choices.dermoscopic, choices.prevalence]

    controls = [panel.point, panel.threshold, panel.dermoscopic, panel.prevalence]
    moved = [panel.judge.click, *(control.input for control in controls)]  # type: ignore[attr-defined]
    gr.on(moved, remember, [panel.closer.history, *panel.asking], None, js=SCREEN, **LIVE)
    restored = panel.restore.click(
        restore, panel.screen, [panel.picture, panel.closer.history, *controls], js="() => [lesion.resume()]",
        show_progress="hidden", **MODEL_EVENTS, **PRIVATE,
    )  # fmt: skip
    # The box for the dermatoscope stands as it stood, whoever said so.
    restored.success(None, js="() => { lesion.again(); lesion.correct(); }", **PRIVATE)
    restored.failure(None, js=ENDED, **PRIVATE)


def _ended(request: Request) -> Any:
    """For the verdict's place: a sign for the browser to say that the session has ended, if it has."""
    return said_of(request.screen.id, "<span class='ended'></span>") if request.lost else gr.skip()


def connect_more(panel: Panel, tabs: gr.Tabs, batch: BatchPanel, texts: Texts) -> None:
    """Let a button begin a list of several pictures of one lesion with the one on display.

    It never adds to a list that is there: those may be another patient's.
    """
    words = texts.batch

    def take_over(history: History) -> list[Any]:
        path = history[-1].path if history else None
        if path is None or not Path(path).is_file():
            raise gr.Error(texts.page.failure_headings["ended"], print_exception=False)
        return [gr.Tabs(selected=SEVERAL), [path], True, part("said", words.take_over_hint.format(run=words.run))]

    outputs = [tabs, batch.files, batch.one_lesion, batch.status]
    taken = panel.more.click(
        take_over, panel.closer.history, outputs, queue=False, show_progress="hidden", **PRIVATE
    )  # fmt: skip
    taken.success(None, js=FOCUS_ON_ADD, **PRIVATE)
    taken.failure(None, js=ENDED, **PRIVATE)


def connect_opener(panel: Panel, tabs: gr.Tabs, batch: BatchPanel, texts: Texts) -> None:
    """Let a line's picture be opened by itself, as if it had been chosen in the first tab."""

    def open_alone(label: str, files: list[str] | None) -> list[Any]:
        path = file_called(label, files or [])
        if path is None or not Path(path).is_file():
            raise gr.Error(texts.page.failure_headings["ended"], print_exception=False)
        return [gr.Tabs(selected=ONE), path]

    opened = batch.opener.click(
        open_alone, [batch.chosen, batch.files], [tabs, panel.picture], show_progress="hidden", **PRIVATE
    )
    opened.success(None, None, panel.notes, js=f"() => {{ lesion.again(); return {NO_NOTES}; }}", **PRIVATE)
    opened.failure(None, js=ENDED, **PRIVATE)


def connect_reports(view: View, panel: Panel, writer: ReportWriter, buttons: dict[str, gr.Button]) -> None:
    """Let `buttons`, by the name of a method of `writer`, make a report and have the browser save it.

    The file is there for the picture on display only: with every other, the browser forgets it.
    """
    for name, button in buttons.items():
        file = gr.JSON(visible="hidden")
        panel.wipe.click(None, None, file, js="() => [null]", **PRIVATE)
        make = _report_maker(view, getattr(writer, name))
        asking = SCREEN.replace("screen()", f"screen('{name}')")
        made = button.click(
            make, [panel.case_id, *panel.patient, *panel.asking], [file, panel.result], js=asking,
            show_progress_on=[button], concurrency_limit=2, **PRIVATE,
        )  # fmt: skip
        made.success(None, file, js=f"file => {{ lesion.save('{name}', file); }}", **PRIVATE)


def _report_maker(view: View, write: Callable[[Analysis, Pixels, Circumstances], Download]) -> Callable[..., Any]:
    def make(case_id: str, age: str, sex: str, site: str, *values: Any) -> Any:
        request = Request.of(*values)
        analyzed, choices = request.analyzed, request.choices
        if analyzed is None:
            return None, _ended(request)
        try:
            circumstances = choices.circumstances(case_id, Patient.of(age, sex, site, view.texts))
            made = write(view.judged(analyzed, choices), analyzed.picture, circumstances)
        except LesionDemoError as error:
            raise gr.Error(escape(str(error)), print_exception=False) from error
        return asdict(made), gr.skip()

    return make
