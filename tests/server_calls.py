"""Requests to the page's server, as a program sends them."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import httpx
import pytest

JOIN, UPLOAD = "/gradio_api/queue/join", "/gradio_api/upload"


def asked(client: httpx.Client, function: int, data: Any, path: str = JOIN) -> str:
    """What is answered in the end to a call of `function` with `data`."""
    body = {"fn_index": function, "data": data, "session_hash": "odd"}
    answer = client.post(path, json=body)
    if path != JOIN or answer.status_code != 200:
        return answer.text
    with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": "odd"}) as stream:
        return "".join(stream.iter_text())


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path, seconds: int = 300) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, f"app.py ended: {log.read_text()}"
        try:
            with urllib.request.urlopen(address, timeout=10):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"app.py did not answer within {seconds} s: {log.read_text()}")
