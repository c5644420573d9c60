"""The demo in a browser: `python app.py`, then open the address that it prints."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from lesion_demo.cli.arguments import add_calibration, add_checkpoint, add_device
from lesion_demo.errors import LesionDemoError

ON_SPACES = "SPACE_ID" in os.environ
"""Hugging Face Spaces reaches the app from outside of its container."""
LANGUAGE = os.environ.get("LESION_LANGUAGE", "en")


def main(arguments: Sequence[str] | None = None) -> int:
    """Load the checkpoint, serve the page until stopped, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_checkpoint(parser)
    add_calibration(parser)
    add_device(parser)
    parser.add_argument("--host", default="0.0.0.0" if ON_SPACES else "127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=7860, help="default: %(default)s")
    parser.add_argument("--language", default=LANGUAGE, help="of the page, one of translations/; default: %(default)s")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="a name by which the page may be opened, beside localhost and --host; repeatable. With --host 0.0.0.0, "
        "every IP address and this machine's own name will do without",
    )  # fmt: skip
    parser.add_argument(
        "--trusted-proxy", action="append", default=[], metavar="ADDRESS",
        help="address or network of a proxy that is believed about who asks (X-Forwarded-For); repeatable",
    )  # fmt: skip
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)

    from lesion_demo.checkpoint import find_best_checkpoint, load_checkpoint
    from lesion_demo.serving.analysis import Analyzer
    from lesion_demo.serving.local import with_calibration
    from lesion_demo.texts import load_texts
    from lesion_demo.ui.access import Access
    from lesion_demo.ui.launch import require_free, serve

    try:
        require_free(args.host, args.port)
        access = Access.create(args.host, args.allow_host, args.trusted_proxy, os.environ)
        texts = load_texts(args.language)
        shipped = load_checkpoint(find_best_checkpoint(chosen=args.checkpoint))
        loaded = with_calibration(shipped, args.calibration)
        print(f"Checkpoint {loaded.folder}: {loaded.meta.backbone}, validation ROC-AUC {loaded.meta.val_roc_auc:.4f}.")
        if loaded.meta.local is not None:
            print(f"{loaded.meta.local}.")
        analyzer = Analyzer(loaded, shipped.meta, device=args.device)
        print(f"Open http://{args.host}:{args.port} in a browser. Ctrl-C stops.", flush=True)
        serve(analyzer, texts, args.host, args.port, access)
    except LesionDemoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
