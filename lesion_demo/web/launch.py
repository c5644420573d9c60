"""How the page is served: everything that Gradio opens, keeps or sends by default and that this demo does not want."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import MutableMapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from lesion_demo.errors import LesionDemoError
from lesion_demo.files import disk_is_full
from lesion_demo.texts import Texts
from lesion_demo.web.access import LOCAL, Access
from lesion_demo.web.quick_import import quick_import
from lesion_demo.web.uploads import own_upload_folder, remove, swept

if TYPE_CHECKING:  # the package `spaces` wants to come before PyTorch
    from lesion_demo.serve.analysis import Analyzer

MAX_FILE_SIZE = "60mb"
"""Enforced by the server; a phone's largest pictures fit."""
MAX_SESSIONS = 200
"""Sessions whose findings are kept; each may hold about 5 MB for half an hour."""
ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Windows has no SIGHUP."""
GRACE_SECONDS = 5
"""From the signal to the end, for what is under way to be answered."""


PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def serve(
    analyzer: Analyzer, texts: Texts, host: str, port: int, access: Access, root_path: str | None = None
) -> NoReturn:
    """Serve the page in the language of `texts` until a signal ends the process, and all that was uploaded with it.

    Args:
        root_path: where a proxy shows the page: a path, or a whole address.

    Raises:
        LesionDemoError: the folder for uploads cannot be made, or the address was taken meanwhile.
        OSError: the disk is full.
    """
    uploads = settle()
    end_on_signals(uploads)

    try:
        with quick_import():
            from lesion_demo.web.page import build_app

            app = build_app(analyzer, texts)
        examples = {Path(file) for block in app.blocks.values() for file in block.keep_in_cache}
        with swept(uploads, kept=examples):
            options = launch_options(texts, access)
            app.launch(server_name=in_address(host), server_port=port, root_path=root_path, **options)
    except KeyboardInterrupt:
        pass
    except OSError as error:
        if disk_is_full(error):
            raise
        raise _not_free(host, port, error) from error
    finally:
        remove(uploads)
    end_at_once(uploads)


def settle() -> Path:
    """See to what Gradio must find when it is imported; a second call changes nothing. Returns the folder for uploads.

    Raises:
        LesionDemoError: that folder cannot be made.
    """
    os.umask(0o077)  # whatever this process writes is for nobody else's eyes
    uploads = own_upload_folder()
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    settle_environment(os.environ)
    return uploads


def settle_environment(environment: MutableMapping[str, str]) -> None:
    """Take out of `environment` what would have Gradio do other than it is told; to be called before its import.

    The app asks no host but this machine, to see whether the page is up. With `http_proxy` in the environment that
    would go to the proxy; with `all_proxy` or an IPv6 network in `no_proxy`, httpx may refuse to work at all.
    """
    for name in PROXY_VARIABLES:
        environment.pop(name, None)
        environment.pop(name.lower(), None)
    environment.pop("GRADIO_SERVER_NAME", None)  # the command line has read it; Gradio takes it for an IPv4 address
    environment["FORWARDED_ALLOW_IPS"] = ""  # who is believed about a client, `access` says; uvicorn believes loopback


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
    from lesion_demo.web.headers import SecurityHeaders
    from lesion_demo.web.language import InTheReadersLanguage
    from lesion_demo.web.page import EXAMPLES
    from lesion_demo.web.style import STYLE_SHEET, script, theme

    return {
        "share": False,
        "auth": access.login,
        "quiet": True,
        "theme": theme(),
        "css_paths": STYLE_SHEET,
        "js": script(texts),
        "allowed_paths": [str(EXAMPLES)],
        "app_kwargs": {
            "middleware": [
                Middleware(SecurityHeaders, access.embedders),
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


def free_port(host: str, port: int) -> int:
    """`port`, or a free one for 0; said in a sentence if it is taken, and to be called before anything slow.

    Raises:
        LesionDemoError: something else listens there, or the address is not this machine's.
    """
    free = port
    try:
        for address in dict.fromkeys((host.strip("[]"), "127.0.0.1")):  # Gradio wants the port there, too
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.create_server((address, free), family=family) as server:
                free = server.getsockname()[1]
    except (OSError, OverflowError) as error:
        raise _not_free(host, port, error) from error
    return free


def in_address(host: str) -> str:
    """`host` as it stands in the address of a page: IPv6 between brackets."""
    bare = host.strip("[]")
    return f"[{bare}]" if ":" in bare else bare


def address_to_open(host: str, port: int) -> str:
    """What to type into a browser on this machine, where an app on all addresses is found at the machine's own."""
    own = {"0.0.0.0": "localhost", "[::]": "[::1]"}
    shown = in_address(host)
    return f"http://{own.get(shown, shown)}:{port}"


def _not_free(host: str, port: int, error: Exception) -> LesionDemoError:
    return LesionDemoError(f"Cannot serve on {in_address(host)}:{port} ({error}): choose another --port or --host.")
