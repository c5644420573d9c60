"""`app`: the page, served until it is stopped."""

from __future__ import annotations

import argparse
import logging
import os

from lesion_demo.cli.arguments import add_calibration, add_checkpoint, add_device, add_engine

HELP = "serve the page, and print the address at which a browser finds it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    on_spaces = "SPACE_ID" in os.environ  # Hugging Face Spaces reaches the app from outside of its container
    language = os.environ.get("LESION_LANGUAGE", "en")
    add_checkpoint(parser)
    add_calibration(parser)
    add_engine(parser)
    add_device(parser)
    host = os.environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if on_spaces else "127.0.0.1")
    parser.add_argument(
        "--host", default=host, help="name or address to listen on; default: GRADIO_SERVER_NAME, now %(default)s"
    )
    parser.add_argument(
        "--port", type=port_number, default=os.environ.get("GRADIO_SERVER_PORT") or "7860",
        help="0: any free port; default: GRADIO_SERVER_PORT, now %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--root-path", type=root_path, default=os.environ.get("GRADIO_ROOT_PATH") or None, metavar="PATH",
        help="where a proxy serves the page: a path such as /lesion, or a full address; default: GRADIO_ROOT_PATH",
    )  # fmt: skip
    parser.add_argument("--language", default=language, help="of the page, one of translations/; default: %(default)s")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="a host name that the page answers to, besides localhost and --host; may be repeated. With "
        "--host 0.0.0.0, "
        "every IP address and this machine's own name are allowed anyway",
    )  # fmt: skip
    parser.add_argument(
        "--trusted-proxy", action="append", default=[], metavar="ADDRESS",
        help="address or network of a proxy whose X-Forwarded-For header is trusted; may be repeated",
    )  # fmt: skip


def port_number(text: str) -> int:
    """A TCP port, 0 to 65535."""
    if not text.isascii() or not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 0 to 65535")
    return int(text)


def root_path(text: str) -> str:
    """The path or address of a page, without a slash at its end."""
    if not text.startswith(("/", "http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is not a path such as /lesion or an address with https://")
    return text.rstrip("/")


def run(args: argparse.Namespace) -> int:
    """Load the checkpoint and serve the page; a signal ends the process, so that only an error comes back."""
    logging.getLogger().setLevel(logging.WARNING)  # Gradio's client tells of every request it makes

    from lesion_demo.web.zero_gpu import ask_for_gpu, import_spaces, on_zero_gpu

    zero_gpu = on_zero_gpu(os.environ)
    if zero_gpu:
        import_spaces()

    from lesion_demo.checkpoint import find_best_checkpoint
    from lesion_demo.serve.analysis import Analyzer
    from lesion_demo.serve.local import with_calibration
    from lesion_demo.serve.opened import open_checkpoint
    from lesion_demo.texts import load_texts
    from lesion_demo.web.access import Access
    from lesion_demo.web.launch import address_to_open, free_port, serve

    port = free_port(args.host, args.port)
    access = Access.create(args.host, args.allow_host, args.trusted_proxy, os.environ)
    texts = load_texts(args.language)
    device = "cpu" if zero_gpu else args.device
    shipped = open_checkpoint(find_best_checkpoint(chosen=args.checkpoint), args.engine, device)
    loaded = with_calibration(shipped, args.calibration)
    print(f"Checkpoint {loaded.folder}: {loaded.meta.backbone}, validation ROC-AUC {loaded.meta.val_roc_auc:.4f}.")
    if loaded.meta.local is not None:
        print(f"{loaded.meta.local}.")
    shown = f"; behind your proxy it is at {args.root_path}" if args.root_path else ""
    print(f"Open {address_to_open(args.host, port)} in a browser{shown}. Ctrl-C stops.", flush=True)
    analyzer = Analyzer(loaded, shipped.meta)
    if zero_gpu:
        ask_for_gpu(analyzer)
    return serve(analyzer, texts, args.host, port, access, args.root_path)
