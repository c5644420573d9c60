"""A program that asks the endpoint `/analyze` by plain HTTP, from an address of its own on this machine."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import httpx

from scripts.server import Served

OF_THE_MOMENT = ("analysis_id", "time")
"""Findings that differ from one analysis of a picture to the next."""


class FullError(Exception):
    """There was no place for a request, and the answer said so in a sentence with a number."""


class Visitor:
    """One client, by an address of its own on this machine."""

    def __init__(self, app: Served, number: int) -> None:
        transport = httpx.HTTPTransport(local_address=f"127.0.{1 + number // 250}.{1 + number % 250}")
        self._client = httpx.Client(base_url=app.address, transport=transport, timeout=300, trust_env=False)
        functions = self._client.get("/config").raise_for_status().json()["dependencies"]
        (self._analyze,) = (one["id"] for one in functions if one["api_name"] == "analyze")
        self._session = f"soak{number}"

    def ask(self, picture: bytes) -> tuple[str, str]:
        """The findings as JSON, and the hash of the picture under its heat map.

        Raises:
            FullError: there was no place. RuntimeError: another error, in its words.
        """
        answer = self._client.post("/gradio_api/upload", files={"files": ("lesion.png", picture)})
        path = self._checked(answer).json()[0]
        payload = {"path": path, "meta": {"_type": "gradio.FileData"}}
        body = {"fn_index": self._analyze, "data": [payload, "sensitive", True, 0.1], "session_hash": self._session}
        self._checked(self._client.post("/gradio_api/queue/join", json=body))
        findings, overlay = self._completed()
        kept = {name: value for name, value in findings.items() if name not in OF_THE_MOMENT}
        heat = self._checked(self._client.get(f"/gradio_api/file={overlay['path']}")).content
        return json.dumps(kept, sort_keys=True), hashlib.sha256(heat).hexdigest()

    @staticmethod
    def _checked(answer: httpx.Response) -> httpx.Response:
        if answer.status_code in (429, 503) and any(letter.isdigit() for letter in answer.json()["error"]):
            raise FullError(answer.json()["error"])
        if not answer.is_success:
            raise RuntimeError(f"{answer.status_code}: {answer.text[:200]}")
        return answer

    def _completed(self) -> list[Any]:
        """The data of the event that ends the analysis."""
        with self._client.stream("GET", "/gradio_api/queue/data", params={"session_hash": self._session}) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    if not message["success"]:
                        raise RuntimeError(str(message["output"])[:200])
                    data: list[Any] = message["output"]["data"]
                    return data
        raise RuntimeError("The answer ended without a result.")
