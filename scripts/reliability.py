"""What soak, kills and fuzzer found: kept in docs/reliability.json, and docs/RELIABILITY.md, made from it.

python -m scripts.reliability   # writes the page again; the three scripts do so when they end
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lesion_demo.files import replacing, write_json
from scripts.bench.timing import processor

DOCS = Path(__file__).resolve().parent.parent / "docs"
FIGURES, PAGE = DOCS / "reliability.json", DOCS / "RELIABILITY.md"
PACKAGES = ("torch", "onnxruntime", "numpy", "scipy", "pillow", "pillow-heif", "gradio")

HEAD = """# Reliability

What was tried on purpose, how often, and what happened. `python -m scripts.reliability` made this page from
[reliability.json](reliability.json), which the scripts below write when they end: do not change it by hand. The test
suite covers many more cases; [RISKS.md](RISKS.md) and [SECURITY.md](SECURITY.md) say which test proves what.
"""
SOAK = """
## Many users at once, and an end under load

{clients} clients, each with an address of its own, asked a real server again and again for the analysis of 20 made-up
pictures.

| | |
| --- | --- |
| Analyses | {analyses:,} in {minutes} minutes |
| Answers that differ from those that a single user was given, heat map included | {wrong} |
| Requests that found the queue full, were told so with a number, and were sent again | {waited:,} |
| Other errors | {errors} |
| From sending a picture to findings and heat map: median; 95th percentile | {median} s; {most} s |
| Memory of the server at the beginning of the second half; at its end; at most | {before} MB; {after} MB; {peak} MB |
| From SIGTERM, while all clients went on asking, to the end | {ended_seconds} s |
| Files left behind | {left} |
"""
KILLS = """
## A training that is killed, or whose disk is full

A small training ({seconds} s when left alone) was killed by SIGKILL at random moments and resumed each time. Others
found the disk full at one of the files that they save. They had to say so in a sentence and were resumed; only a
copy that saves time may be done without.

| | |
| --- | --- |
| Kills; before there was anything to go on from | {kills}; {early} |
| Trainings that were killed and ended | {runs} |
| Files at which the disk was full | {full} |
| Trainings that did not go on, or ended with other weights (compared to the last bit) | {faults} |
"""
FUZZ = """
## Damaged picture files

A fuzzer (atheris), guided by the code that a file reaches, fed the loader with variants of a small good file of each
format.

| | |
| --- | --- |
| Files | {files:,} in {minutes:g} minutes |
| Neither read nor refused in a sentence, or slower than 5 s | {found} |
"""
GOLDEN = """
## The same answers with other versions

The probabilities of {pictures} pictures, 20 of them real, are recorded. They were scored again with the oldest versions
that `requirements.txt` allows, and with newer ones. A test fails if a probability differs by more than 0.001.

| installed | greatest difference, ONNX Runtime | PyTorch |
| --- | --- | --- |
"""
MADE = "\nMade on {date} by `{command}` on {processor}; {packages}.\n"
KNOWN = """
## What this has found so far

- In an earlier soak of 1,000 analyses, one answer was lost with its connection, and one was wrong. Two faults can
  explain this: the script confused the answers to two requests, and the endpoint wrote equal pictures into one file
  while others were reading it. Which of the two it was is not known. Both have been corrected.
- When many clients asked at the same moment, the message about a full queue was Gradio's instead of ours:
  `tests/web/test_guard.py::test_a_full_queue_says_so_with_a_number`.
- When a server had ended, a file of ONNX Runtime's was left among the temporary files. It belonged to its telemetry,
  which is on by default since version 1.29 and is now off:
  `tests/network/test_graph.py::test_the_runtime_reports_nothing_to_its_maker`.
- A TIFF file with fractions in place of the number of bits per value caused an unhandled error. It is now refused as
  damaged: `tests/images/test_loading_limits.py::test_a_tag_of_another_type_raises_nothing_else`.
"""


def record(name: str, figures: Mapping[str, Any], command: str = "") -> None:
    """Keep `figures` as `name`, with what they were made by and on, and write the page again.

    The script that made them has the same name, unless `command` is given.
    """
    kept = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.is_file() else {}
    made = {
        "date": datetime.date.today().isoformat(),
        "command": " ".join(["python", "-m", f"scripts.{command or name}", *sys.argv[1:]]),
        "processor": processor(),
        "packages": ", ".join([f"Python {platform.python_version()}", *(f"{one} {version(one)}" for one in PACKAGES)]),
    }
    write_json(FIGURES, {**kept, name: {**figures, "made": made}})
    write_page()


def page(figures: Mapping[str, Any]) -> str:
    """The page in Markdown."""
    found = [HEAD]
    if soak := figures.get("soak"):
        before, after, peak = soak["memory_mb"]
        median, most = soak["seconds"]
        told = {"errors": said(soak["errors"]), "left": said(soak["left"]), "median": median, "most": most}
        found.append(SOAK.format(**{**soak, **told, "before": before, "after": after, "peak": peak}))
        found.append(MADE.format(**soak["made"]))
    if kills := figures.get("kills"):
        found.append(KILLS.format(**{**kills, "faults": said(kills["faults"])}) + MADE.format(**kills["made"]))
    if fuzz := figures.get("fuzz"):
        found.append(FUZZ.format(**{**fuzz, "found": said(fuzz["found"])}) + MADE.format(**fuzz["made"]))
    if golden := [one for name, one in figures.items() if name.startswith("golden")]:
        rows = [f"| {one['made']['packages']} | {one['onnx']:.6f} | {one['torch']:.6f} |\n" for one in golden]
        made = "\nMade on {date} by `python -m scripts.golden --data DIR --check` on {processor}.\n"
        found += [GOLDEN.format(**golden[0]), *rows, made.format(**golden[0]["made"])]
    return "".join([*found, KNOWN])


def said(faults: list[str]) -> str:
    return "; ".join(faults) or "none"


def write_page() -> None:
    text = page(json.loads(FIGURES.read_text(encoding="utf-8")))
    with replacing(PAGE) as part:
        part.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    write_page()
