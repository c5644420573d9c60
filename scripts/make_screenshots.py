"""Make assets/screenshot.png and screenshot_phone.png: the app on the shipped checkpoint, looking at a phantom.

Run it from anywhere with `python scripts/make_screenshots.py`; it needs Chromium and requirements-dev.txt.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, FloatRect, Page, sync_playwright

PROJECT = Path(__file__).resolve().parent.parent
ASSETS = PROJECT / "assets"
PICTURE = "phantom_malignant_1.jpg"
SHOTS = (("screenshot.png", 1440, 1720), ("screenshot_phone.png", 390, 1800))
"""File in assets/, width and height of the window in pixels."""
PARTS = (
    "picture",
    "dermoscopic",
    "result",
    "point",
    "point-note",
    "heat-area",
    "meaning-area",
    "quality-area",
    "take-area",
)
"""What a screenshot shows whole or not at all, down to the last of them that fits."""
MARGIN = 16
"""Pixels kept below the last thing on the page."""
MAX_BYTES = 900_000
PATIENCE = 300
"""Seconds to wait for the app, and for its answer."""


def main() -> int:
    """Write both files and return the exit code."""
    browser_path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser_path is None:
        print("error: no Chromium was found: install it, on Debian with 'apt-get install chromium'.", file=sys.stderr)
        return 1
    with running_app() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        for name, width, height in SHOTS:
            shoot(browser, address, ASSETS / name, width, height)
            print(f"{ASSETS / name}: {(ASSETS / name).stat().st_size / 1000:.0f} kB")
        browser.close()
    return 0


@contextmanager
def running_app() -> Iterator[str]:
    """Address of the app while it runs on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(PROJECT / "app.py"), "--port", str(port)])
    address = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + PATIENCE
        while not answers(address):
            if process.poll() is not None or time.monotonic() > end:
                sys.exit("error: app.py ended, or did not answer in time.")
            time.sleep(0.5)
        yield address
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGTERM)
        process.wait(30)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except OSError:
        return False


def shoot(browser: Browser, address: str, path: Path, width: int, height: int) -> None:
    """Upload PICTURE in a window of this size and save what it shows, down to the last thing that is whole."""
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
    page.set_default_timeout(PATIENCE * 1000)
    page.goto(address)
    page.locator("#examples img").last.wait_for()
    page.set_input_files("#picture input[type=file]", PROJECT / "lesion_demo" / "web" / "examples" / PICTURE)
    page.locator("#result .card:not(.warning)").wait_for()
    page.wait_for_function("[...document.querySelectorAll('#heat img')].some(image => image.naturalWidth > 0)")
    page.mouse.move(0, 0)
    page.wait_for_timeout(1500)  # until nothing moves or fades any more
    bottoms = [box["y"] + box["height"] for box in boxes(page) if box["y"] + box["height"] + MARGIN <= height]
    page.screenshot(path=path, clip={"x": 0, "y": 0, "width": width, "height": max(bottoms) + MARGIN})
    page.close()
    if path.stat().st_size > MAX_BYTES:
        shrink(path)


def shrink(path: Path) -> None:
    """Write the picture anew in 256 colours, dithered so that the heat map shows no bands."""
    with Image.open(path) as image:
        full = image.convert("RGB")
    palette = full.quantize(256, Image.Quantize.MEDIANCUT)
    full.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)


def boxes(page: Page) -> list[FloatRect]:
    """Where the parts of the page stand."""
    parts = (page.locator(f"#{name}") for name in PARTS)
    return [box for part in parts if (box := part.bounding_box()) is not None]


if __name__ == "__main__":
    sys.exit(main())
