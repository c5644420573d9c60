"""Nobody gets another picture's answer, whatever fails, is slow, or happens at the same time."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from app_site import Site, choose_point, figures, judged, remove, upload, verdict
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import Page, Route, expect

from lesion_demo.images import Pixels
from lesion_demo.images.phantom import render_phantom
from lesion_demo.serve.analysis import Analysis
from lesion_demo.texts import load_texts
from lesion_demo.web.page import EXAMPLES
from lesion_demo.web.places import Precedence

TEXTS = load_texts("en")
ALICE, BOB = 300, 240
"""Sides of two patients' pictures, pixels: by them the analyzer knows whose it is."""
SECOND = 1000


@pytest.fixture
def pictures(tmp_path: Path) -> dict[int, Path]:
    """A file for each patient."""
    files = {side: tmp_path / f"{side}.png" for side in (ALICE, BOB)}
    for side, file in files.items():
        Image.fromarray(render_phantom(5, malignant=True, size=side)).save(file)
    return files


class Held:
    """Pictures of some sizes wait in the analyzer until they are let go; Alice's is benign, Bob's malignant."""

    def __init__(self, site: Site, sides: set[int]) -> None:
        self._analyze, self._analyzer, self._sides = site.analyzer.analyze, site.analyzer, sides
        self.go, self.begun, self.fails = threading.Event(), threading.Semaphore(0), False

    def analyze(self, picture: Pixels, *args: object) -> Analysis:
        side = picture.shape[0]
        if side in self._sides:
            self.begun.release()
            assert self.go.wait(60)
            if self.fails:
                raise KeyError("the test wants it to fail")
        self._analyzer.probability = 0.9 if side == BOB else 0.1
        return self._analyze(picture, *args)  # type: ignore[arg-type]


@contextmanager
def held(site: Site, *sides: int) -> Iterator[Held]:
    one = Held(site, set(sides))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site.analyzer, "analyze", one.analyze)
        try:
            yield one
        finally:
            one.go.set()


def test_notes_of_a_patient_go_with_the_picture(page: Page, pictures: dict[int, Path]) -> None:
    judged(page, pictures[ALICE])
    typed = [page.locator(f"#{name} :is(input, textarea)") for name in ("case-id", "age")]
    chosen = [page.locator(f"#{name} input") for name in ("sex", "body-site")]
    for field, text in zip(typed, ("Alice 4711", "54"), strict=True):
        field.fill(text)
    for field, name in zip(chosen, ("female", "back"), strict=True):
        field.click()
        page.get_by_role("option", name=name, exact=True).click()
        expect(field).to_have_value(name)
    upload(page, pictures[BOB])
    for field in typed:
        expect(field).to_have_value("")
    for field in chosen:
        expect(field).to_have_value(TEXTS.report.not_stated)


def expect_nothing_said(page: Page) -> None:
    """There is no verdict, nothing that goes with one, and nothing to take away, hidden or not."""
    expect(verdict(page)).to_have_count(0)
    for area in ("#heat-area", "#meaning-area", "#quality-area", "#take-area"):
        expect(page.locator(area)).to_be_hidden()
    for part in ("#result", "#heat", "#meaning", "#quality", "#record"):
        expect(page.locator(part)).to_have_text("")
    expect(page.locator("#heat img")).to_have_count(0)


def expect_failure(page: Page, reason: str) -> None:
    expect_nothing_said(page)
    card = page.locator("#notice .card.error")
    expect(card).to_contain_text(TEXTS.page.failure_headings[reason])
    expect(card).to_contain_text(TEXTS.page.failures[reason])


def report_of(page: Page) -> dict[str, object]:
    with page.expect_download() as download:
        page.locator("#json").click()
    found: dict[str, object] = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    return found


def test_nothing_of_the_last_picture_stays_while_the_next_is_sent_and_analysed(
    page: Page, site: Site, pictures: dict[int, Path]
) -> None:
    waiting: list[Route] = []
    with held(site, BOB) as bob:
        judged(page, pictures[ALICE])
        of_alice = report_of(page)
        page.route("**/upload?*", lambda route: waiting.append(route))
        upload(page, pictures[BOB])
        expect_nothing_said(page)
        expect(page.locator("#notice .card.waiting")).to_be_visible()
        waiting[0].continue_()
        assert bob.begun.acquire(timeout=60)
        downloads: list[object] = []
        page.on("download", lambda download: downloads.append(download))
        page.evaluate("document.querySelector('#json').click()")  # it cannot be seen
        page.wait_for_timeout(SECOND)
        expect_nothing_said(page)
        assert downloads == []
        bob.go.set()
        expect(page.locator("#result .card.malignant")).to_be_visible()
        of_bob = report_of(page)
    assert (of_alice["verdict"], of_bob["verdict"]) == ("benign", "malignant")
    shown = page.locator("#stage [data-picture]").evaluate_all("all => [...new Set(all.map(x => x.dataset.picture))]")
    assert shown == [of_bob["analysis_id"]]
    assert of_alice["analysis_id"] != of_bob["analysis_id"]


def test_whatever_fails_is_said_and_nothing_of_the_last_picture_stays(
    page: Page, site: Site, pictures: dict[int, Path]
) -> None:
    failures = (
        ("full", "**/queue/join*", lambda route: route.fulfill(status=503, json={"detail": "full"})),
        ("upload", "**/upload?*", lambda route: route.fulfill(status=500, body="no space left")),
        ("gone", "**/upload?*", lambda route: route.abort()),
    )
    page.route("**/upload_progress?*", lambda route: route.fulfill(status=204))  # the server knows no such upload
    for reason, address, answer in failures:
        judged(page, pictures[ALICE])
        page.route(address, answer)
        upload(page, pictures[BOB])
        expect_failure(page, reason)
        page.unroute(address)
    with held(site, BOB) as bob:
        judged(page, pictures[ALICE])
        bob.fails = True
        bob.go.set()
        upload(page, pictures[BOB])
        expect_failure(page, "failed")
    judged(page, pictures[ALICE])
    letter = pictures[ALICE].with_suffix(".txt")
    letter.write_text("no picture")
    upload(page, letter)
    expect_failure(page, "refused")
    judged(page, pictures[ALICE])
    page.route("**/gradio_api/**", lambda route: route.abort())  # after this, Gradio loads the page anew
    page.locator("#examples button").first.click()
    expect_failure(page, "gone")


def test_connection_that_is_lost_during_the_analysis_is_said(page: Page, site: Site, pictures: dict[int, Path]) -> None:
    judged(page, pictures[ALICE])
    page.route("**/queue/data*", lambda route: route.abort())
    upload(page, pictures[BOB])
    expect_failure(page, "gone")


def test_control_moved_during_the_analysis_counts(page: Page, site: Site, pictures: dict[int, Path]) -> None:
    site.analyzer.reset()
    with held(site, ALICE) as alice:
        upload(page, pictures[ALICE])
        assert alice.begun.acquire(timeout=60)
        choose_point(page, "balanced")
        page.locator("#dermoscopic input").uncheck()
        expect(page.locator("#point-note")).to_contain_text("Both mistakes count the same")
        alice.go.set()
        expect(verdict(page)).to_be_visible()
    expect(page.locator("#result .scope")).to_be_visible()
    expect(page.locator("#point input[value=balanced]")).to_be_checked()
    assert figures(page) == (50.0, 10.0)
    expect(page.locator("#point-note")).to_contain_text("Both mistakes count the same")
    found = report_of(page)
    assert found["operating_point"]["name"] == "balanced"  # type: ignore[index]
    assert found["picture"]["dermoscopic"] is False  # type: ignore[index]


@pytest.mark.parametrize("first_fails", [False, True])
def test_picture_chosen_while_another_waits_takes_its_place(
    page: Page, site: Site, pictures: dict[int, Path], first_fails: bool
) -> None:
    with held(site, ALICE) as alice:
        upload(page, pictures[ALICE])
        assert alice.begun.acquire(timeout=60)
        expect(page.locator("#picture img")).to_be_visible()
        with page.expect_response(re.compile("/upload\\?")):
            upload(page, pictures[BOB])
        expect(page.locator("#picture img")).to_have_js_property("naturalWidth", BOB)
        alice.fails = first_fails
        alice.go.set()
        expect(page.locator("#result .card.malignant")).to_be_visible()
    assert report_of(page)["verdict"] == "malignant"


def test_example_chosen_while_another_waits_takes_its_place(page: Page, site: Site) -> None:
    buttons = page.locator("#examples button:has(img)")
    sides = {Image.open(file).height for file in EXAMPLES.glob("*.jpg")}
    with held(site, *sides) as first:
        buttons.first.click()
        expect(page.locator("#picture img")).to_be_visible()
        one = page.locator("#picture img").get_attribute("src")
        buttons.last.click()
        expect(page.locator("#picture img")).not_to_have_attribute("src", one or "")
        first.go.set()
        expect(verdict(page)).to_be_visible()
    shown = page.locator("#picture img").get_attribute("src") or ""
    seen = Image.open(BytesIO(page.request.get(shown).body())).convert("RGB")
    assert site.analyzer.seen is not None
    assert seen.tobytes() == site.analyzer.seen.tobytes()


def test_answer_to_a_picture_that_was_removed_is_discarded(page: Page, site: Site, pictures: dict[int, Path]) -> None:
    with held(site, ALICE) as alice:
        upload(page, pictures[ALICE])
        assert alice.begun.acquire(timeout=60)
        remove(page)
        with page.expect_response(re.compile("/run/")):  # what follows from the answer
            alice.go.set()
        page.wait_for_timeout(SECOND)
        expect(page.locator("#notice .card.empty")).to_be_visible()
        expect_nothing_said(page)
        judged(page, pictures[BOB])


def test_session_that_has_ended_is_said_and_saves_no_other_report(
    page: Page, site: Site, pictures: dict[int, Path]
) -> None:
    sessions = site.app.state_holder.session_data
    judged(page, pictures[ALICE])
    report_of(page)
    downloads: list[object] = []
    page.on("download", lambda download: downloads.append(download))
    judged(page, pictures[BOB])
    assert page.locator("#json-file[href], #json-file a[href]").count() == 0
    sessions.clear()
    page.locator("#json").click()
    expect_failure(page, "ended")
    assert downloads == []
    for move in (
        lambda: choose_point(page, "balanced"),
        lambda: page.locator("#prevalence input[type=number]").fill("50"),
    ):
        judged(page, pictures[ALICE])
        sessions.clear()
        move()
        expect_failure(page, "ended")
    assert downloads == []


def test_controls_need_no_place_in_the_queue(page: Page, pictures: dict[int, Path]) -> None:
    judged(page, pictures[ALICE])
    page.route("**/queue/join*", lambda route: route.fulfill(status=503, json={"detail": "full"}))
    choose_point(page, "balanced")
    expect(page.locator("#result .bar")).to_have_attribute("aria-label", re.compile(r"threshold 50\.0"))


def test_nothing_is_analysed_outside_of_the_queue(site: Site, pictures: dict[int, Path]) -> None:
    with pictures[ALICE].open("rb") as opened:
        (path,) = httpx.post(f"{site.address}/gradio_api/upload", files={"files": opened}, timeout=60).json()
    picture = {"path": path, "meta": {"_type": "gradio.FileData"}}
    screen = {"id": "a", "answered": False}
    choices = ["sensitive", 0.5, True, 2.0]
    asked = site.analyzer.asked
    for index in range(len(site.app.fns)):
        for data in ([picture, *choices], [picture, screen], [picture, "sensitive", True, 0.02]):
            payload = {"data": data, "fn_index": index, "session_hash": "s"}
            httpx.post(f"{site.address}/gradio_api/run/predict", json=payload, timeout=60)
    assert site.analyzer.asked == asked


def test_batches_leave_single_pictures_their_places(site: Site, pictures: dict[int, Path]) -> None:
    with held(site, BOB) as bob, ThreadPoolExecutor(2) as pool:
        clients = [Client(site.address, verbose=False) for _ in range(2)]
        batches = [
            pool.submit(client.predict, [handle_file(pictures[BOB])], "sensitive", api_name="/analyze_batch")
            for client in clients
        ]
        for _ in batches:
            assert bob.begun.acquire(timeout=60)
        single = Client(site.address, verbose=False).submit(handle_file(pictures[ALICE]), api_name="/analyze")
        found, _ = single.result(timeout=30)
        assert found["verdict"] == "benign"
        bob.go.set()
        assert [batch.result()[0][0]["verdict"] for batch in batches] == ["malignant", "malignant"]


def test_batch_gives_way_to_single_pictures_but_not_for_ever() -> None:
    precedence, passed = Precedence(), threading.Event()

    def batch() -> None:
        precedence.give_way(60)
        passed.set()

    precedence.give_way(0)
    with precedence.single():
        waiting = threading.Thread(target=batch)
        waiting.start()
        assert not passed.wait(0.2)
        precedence.give_way(0.01)
    assert passed.wait(10)
    waiting.join()
