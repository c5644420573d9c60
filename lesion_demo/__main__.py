"""`python -m lesion_demo <command>`, or `lesion-demo <command>` where the package is installed."""

from __future__ import annotations

import argparse
import importlib
import io
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lesion_demo.cli.stopping import exit_code, stoppable
from lesion_demo.errors import LesionDemoError
from lesion_demo.files import refused_by_disk

COMMANDS = ("app", "train", "evaluate", "audit", "card", "score", "export", "recalibrate", "deploy", "push")
BEYOND_SERVING = ("torch", "torchvision", "accelerate", "sklearn", "onnx", "pytorch_grad_cam")
"""Modules of packages that requirements-serve.txt, and so `make app`, does without."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; errors a user can act on are printed in a line, and exit with 1.

    What is printed and cannot be, as a file name in a terminal of another encoding, stands there as a code.

    A command that is stopped exits as a shell expects, see `stopping`; one that has something to keep does so first.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    args = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        if getattr(args, "device", None) not in (None, "cpu"):
            from lesion_demo.network.forward import pick_device

            pick_device(args.device)  # before anything is read
        with _log_on_screen(), stoppable():
            code: int = args.handler(args)
    except LesionDemoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if (package := (error.name or "").partition(".")[0]) not in BEYOND_SERVING:
            raise
        print(
            f"error: {args.command} needs {package}, which the page and score do without: "
            "python -m pip install -r requirements.txt",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        if not (said := refused_by_disk(error)):
            raise
        print(f"error: {said}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print("\nStopped.", file=sys.stderr)
        return exit_code(stop)
    return code


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """What `arguments` ask for; `handler` is the function that does it."""
    parser = argparse.ArgumentParser(prog="lesion-demo", description="Train, evaluate and use a lesion classifier.")
    commands = parser.add_subparsers(dest="command", required=True)
    named = [name for name in arguments[:1] if name in COMMANDS]
    for name in named or COMMANDS:  # a command does without the others' modules
        module = importlib.import_module(f"lesion_demo.cli.{name}")
        command = commands.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(command)
        command.set_defaults(handler=module.run)
    return parser.parse_args(arguments)


@contextmanager
def _log_on_screen() -> Iterator[None]:
    """Within the block the log goes to stderr, unless the calling program has seen to it; then all is as before."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # no more than a look where there are handlers
    try:
        yield
    finally:
        root.setLevel(level)
        for handler in [one for one in root.handlers if one not in handlers]:
            root.removeHandler(handler)
            handler.close()


if __name__ == "__main__":
    sys.exit(main())
