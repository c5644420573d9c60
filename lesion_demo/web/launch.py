"""How the page is served: everything that Gradio opens, keeps or sends by default and that this demo does not want."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from lesion_demo.errors import LesionDemoError
from lesion_demo.serve.analysis import Analyzer
from lesion_demo.texts import Texts
from lesion_demo.web.access import LOCAL, Access
from lesion_demo.web.uploads import own_upload_folder, remove, swept

MAX_FILE_SIZE = "60mb"
"""Enforced by the server; a phone's largest pictures fit."""
MAX_SESSIONS = 200
"""Sessions whose findings are kept; each may hold about 5 MB for half an hour."""
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_SECONDS = 5
"""From the signal to the end, for what is under way to be answered."""


def serve(analyzer: Analyzer, texts: Texts, host: str, port: int, access: Access) -> NoReturn:
    """Serve the page in the language of `texts` until a signal ends the process, and all that was uploaded with it.

    Raises:
        LesionDemoError: the folder for uploads cannot be made, or the address was taken meanwhile.
    """
    os.umask(0o077)  # whatever this process writes is for nobody else's eyes
    uploads = own_upload_folder()
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)  # read when Gradio is imported, too: so that is below
    os.environ["FORWARDED_ALLOW_IPS"] = ""  # who is believed about a client, `access` says; uvicorn believes loopback
    end_on_signals(uploads)

    from lesion_demo.web.page import build_app

    try:
        app = build_app(analyzer, texts)
        examples = {Path(file) for block in app.blocks.values() for file in block.keep_in_cache}
        with swept(uploads, kept=examples):
            app.launch(server_name=host, server_port=port, **launch_options(texts, access))
    except KeyboardInterrupt:
        pass
    except OSError as error:
        raise _not_free(host, port, error) from error
    finally:
        remove(uploads)
    end_at_once(uploads)


def end_on_signals(uploads: Path) -> None:
    """Let Ctrl-C, SIGTERM and SIGHUP end the process: in good order, unless that takes long or the signal comes twice.

    A signal that is ignored already, as `nohup` has it, stays ignored.
    """

    def end(number: int, frame: FrameType | None) -> None:
        for one in handled:
            signal.signal(one, lambda *_: end_at_once(uploads))
        patience = threading.Timer(GRACE_SECONDS, end_at_once, [uploads])
        patience.daemon = True
        patience.start()
        raise KeyboardInterrupt

    handled = [one for one in ENDING if signal.getsignal(one) is not signal.SIG_IGN]
    for one in handled:
        signal.signal(one, end)


def end_at_once(uploads: Path) -> NoReturn:
    """End the process, whatever its threads are doing, and leave nothing behind.

    Python's own end waits for pictures that are being analysed, then takes PyTorch apart: longer than the ten seconds
    after which a container is killed.
    """
    remove(uploads)
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


def launch_options(texts: Texts, access: Access = LOCAL) -> dict[str, Any]:
    """How to `launch` the page anywhere: its looks, what is switched off, and who may ask for what."""
    from starlette.middleware import Middleware

    from lesion_demo.web.guard import Gate
    from lesion_demo.web.language import InTheReadersLanguage
    from lesion_demo.web.page import EXAMPLES
    from lesion_demo.web.style import STYLE_SHEET, script, theme

    return {
        "share": False,
        "quiet": True,
        "theme": theme(),
        "css_paths": STYLE_SHEET,
        "js": script(texts),
        "allowed_paths": [str(EXAMPLES)],
        "app_kwargs": {
            "middleware": [
                Middleware(Gate, access, [EXAMPLES], texts),
                Middleware(InTheReadersLanguage, texts.language),
            ]
        },
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
        for address in {host, "127.0.0.1"}:  # Gradio wants the port there, too, and tries only that
            with socket.create_server((address, port)):
                pass
    except (OSError, OverflowError) as error:
        raise _not_free(host, port, error) from error


def _not_free(host: str, port: int, error: Exception) -> LesionDemoError:
    return LesionDemoError(f"Cannot serve on {host}:{port} ({error}): choose another --port or --host.")
