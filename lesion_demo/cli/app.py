"""`app`: the page, served until it is stopped."""

from __future__ import annotations

import argparse
import logging
import os

from lesion_demo.cli.arguments import add_calibration, add_checkpoint, add_device

HELP = "serve the page, and print the address at which a browser finds it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    on_spaces = "SPACE_ID" in os.environ  # Hugging Face Spaces reaches the app from outside of its container
    language = os.environ.get("LESION_LANGUAGE", "en")
    add_checkpoint(parser)
    add_calibration(parser)
    add_device(parser)
    parser.add_argument("--host", default="0.0.0.0" if on_spaces else "127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=7860, help="default: %(default)s")
    parser.add_argument("--language", default=language, help="of the page, one of translations/; default: %(default)s")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="a name by which the page may be opened, beside localhost and --host; repeatable. With --host 0.0.0.0, "
        "every IP address and this machine's own name will do without",
    )  # fmt: skip
    parser.add_argument(
        "--trusted-proxy", action="append", default=[], metavar="ADDRESS",
        help="address or network of a proxy that is believed about who asks (X-Forwarded-For); repeatable",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Load the checkpoint and serve the page; a signal ends the process, so that only an error comes back."""
    logging.getLogger().setLevel(logging.WARNING)  # Gradio's client tells of every request it makes

    from lesion_demo.checkpoint import find_best_checkpoint, load_checkpoint
    from lesion_demo.serve.analysis import Analyzer
    from lesion_demo.serve.local import with_calibration
    from lesion_demo.texts import load_texts
    from lesion_demo.web.access import Access
    from lesion_demo.web.launch import require_free, serve

    require_free(args.host, args.port)
    access = Access.create(args.host, args.allow_host, args.trusted_proxy, os.environ)
    texts = load_texts(args.language)
    shipped = load_checkpoint(find_best_checkpoint(chosen=args.checkpoint))
    loaded = with_calibration(shipped, args.calibration)
    print(f"Checkpoint {loaded.folder}: {loaded.meta.backbone}, validation ROC-AUC {loaded.meta.val_roc_auc:.4f}.")
    if loaded.meta.local is not None:
        print(f"{loaded.meta.local}.")
    print(f"Open http://{args.host}:{args.port} in a browser. Ctrl-C stops.", flush=True)
    return serve(Analyzer(loaded, shipped.meta, device=args.device), texts, args.host, args.port, access)
