"""How the page is served: everything that Gradio opens, keeps or sends by default and that this demo does not want."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import threading
from pathlib import Path
from typing import Any

from lesion_demo.errors import LesionDemoError
from lesion_demo.serving.analysis import Analyzer
from lesion_demo.texts import Texts

MAX_FILE_SIZE = "60mb"
"""Enforced by the server; a phone's largest pictures fit."""
MAX_SESSIONS = 200
"""Sessions whose findings are kept; each may hold about 5 MB for half an hour."""


def serve(analyzer: Analyzer, texts: Texts, host: str, port: int) -> None:
    """Serve the page in the language of `texts` until it is interrupted or terminated, then delete what was uploaded.

    Raises:
        LesionDemoError: the folder for uploads cannot be made.
    """
    uploads = fresh_upload_folder(port)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it, too, ends in the `finally` below

    from lesion_demo.ui.page import build_app

    try:
        build_app(analyzer, texts).launch(server_name=host, server_port=port, **launch_options(texts))
    finally:
        shutil.rmtree(uploads, ignore_errors=True)


def launch_options(texts: Texts) -> dict[str, Any]:
    """How to `launch` the page anywhere: its looks, and what is switched off."""
    from lesion_demo.ui.page import EXAMPLES
    from lesion_demo.ui.style import STYLE_SHEET, script, theme

    return {
        "share": False,
        "quiet": True,
        "theme": theme(),
        "css_paths": STYLE_SHEET,
        "js": script(texts),
        "allowed_paths": [str(EXAMPLES)],
        "show_error": False,
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "max_file_size": MAX_FILE_SIZE,
        "state_session_capacity": MAX_SESSIONS,
        "footer_links": [],
    }


def require_free(host: str, port: int) -> None:
    """Say in a sentence what Gradio would say in a traceback; to be called before anything slow.

    Raises:
        LesionDemoError: something else listens there, or the address is not this machine's.
    """
    try:
        with socket.create_server((host, port)):
            pass
    except (OSError, OverflowError) as error:
        raise LesionDemoError(f"Cannot serve on {host}:{port} ({error}): choose another --port or --host.") from error


def fresh_upload_folder(port: int) -> Path:
    """An empty folder for what visitors upload, readable to nobody else.

    It belongs to the port, so that the next start clears up after one that was killed, and touches no other app's.

    Raises:
        LesionDemoError: it belongs to somebody else, or the disk refused.
    """
    folder = Path(tempfile.gettempdir()) / f"lesion-demo-{port}"
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise LesionDemoError(f"Could not make {folder} afresh ({error}): remove it, or set TMPDIR.") from error
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    return folder
