"""The page as a process of its own: how soon it answers, how long its endpoint takes, how much memory it keeps."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from itertools import count
from pathlib import Path
from secrets import token_hex

import httpx
from gradio_client import Client, handle_file

PATIENCE = 60.0
"""Seconds until the page must answer."""


class Site:
    """`python app.py`, as it is started by anybody; loopback alone."""

    def __init__(self, folder: Path) -> None:
        # Each client comes through a proxy as one of its own: the page lets nobody take all places in the queue.
        command = [sys.executable, "app.py", "--port", "0", "--checkpoint", str(folder), "--trusted-proxy", "127.0.0.1"]
        self._clients = count(1)
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        lines = iter(self._process.stdout.readline, "")
        found = next(match for line in lines if (match := re.search(r"http://\S+", line)))
        self.address = found[0]
        self._function = self._wait_for_function()

    def _wait_for_function(self) -> int:
        """The number of the endpoint, as soon as the page answers."""
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                found = httpx.get(f"{self.address}/config", timeout=PATIENCE).raise_for_status()
                return next(one["id"] for one in found.json()["dependencies"] if one["api_name"] == "analyze")
            except httpx.TransportError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.02)

    @cached_property
    def client(self) -> Client:
        """Gradio's own, with a session of its own."""
        headers = {"X-Forwarded-For": f"10.0.0.{next(self._clients)}"}
        return Client(self.address, headers=headers, verbose=False, httpx_kwargs={"timeout": 120})

    def analyze(self, file: Path) -> object:
        return self.client.predict(handle_file(file), api_name="/analyze")

    def connect(self) -> httpx.Client:
        """Another client, by plain HTTP, over connections that are kept."""
        headers = {"X-Forwarded-For": f"10.0.0.{next(self._clients)}"}
        return httpx.Client(base_url=f"{self.address}/gradio_api", headers=headers, timeout=120)

    @cached_property
    def _http(self) -> httpx.Client:
        return self.connect()

    def analyze_plainly(self, file: Path, client: httpx.Client | None = None) -> object:
        """The same without Gradio's client, over a connection that is kept; the picture under its heat map, too."""
        http, session = client or self._http, token_hex(8)
        (path,) = http.post("/upload", files={"files": (file.name, file.read_bytes())}).json()
        picture = {"path": path, "meta": {"_type": "gradio.FileData"}}
        body = {"data": [picture, "sensitive", True, 0.1], "fn_index": self._function, "session_hash": session}
        http.post("/queue/join", json=body).raise_for_status()
        with http.stream("GET", "/queue/data", params={"session_hash": session}) as lines:
            messages = (json.loads(one[5:]) for one in lines.iter_lines() if one.startswith("data:"))
            found = next(one for one in messages if one["msg"] == "process_completed")
        findings, overlay = found["output"]["data"]
        http.get(f"/file={overlay['path']}").raise_for_status()
        return findings

    def memory(self) -> float:
        """Resident, MB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)


@contextmanager
def open_site(folder: Path) -> Iterator[Site]:
    site = Site(folder)
    try:
        yield site
    finally:
        site.close()


def first_answer(folder: Path, file: Path) -> float:
    """Seconds from the start of the process to the first finding."""
    start = time.perf_counter()
    with open_site(folder) as site:
        site.analyze_plainly(file)
        return time.perf_counter() - start


def first_prediction(folder: Path, file: Path) -> float:
    """The same of the stock script, see `baselines`."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "scripts.bench.baselines", str(folder), str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        return time.perf_counter() - start


def analyze_by_clients(site: Site, files: Sequence[Path], clients: int, each: int) -> float:
    """Analyses a second, of so many clients at once with a picture of their own each, so many times."""
    sessions = [site.connect() for _ in range(clients)]
    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(lambda file, one: [site.analyze_plainly(file, one) for _ in range(each)], files, sessions))
    return clients * each / (time.perf_counter() - start)
