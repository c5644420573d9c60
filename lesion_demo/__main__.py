"""`python -m lesion_demo <command>`."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence

from lesion_demo.cli.stopping import exit_code, stoppable
from lesion_demo.errors import LesionDemoError

COMMANDS = ("train", "evaluate", "audit", "card", "score", "recalibrate")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; errors a user can act on are printed in a line, and exit with 1.

    A command that is stopped exits as a shell expects, see `stopping`; one that has something to keep does so first.
    """
    parser = argparse.ArgumentParser(prog="lesion_demo", description="Train, evaluate and use a lesion classifier.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in COMMANDS:
        module = importlib.import_module(f"lesion_demo.cli.{name}")
        command = commands.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(command)
        command.set_defaults(handler=module.run)
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        if getattr(args, "device", None):
            from lesion_demo.learning.forward import pick_device

            pick_device(args.device)  # before anything is read
        with stoppable():
            code: int = args.handler(args)
    except LesionDemoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print("\nStopped.", file=sys.stderr)
        return exit_code(stop)
    return code


if __name__ == "__main__":
    sys.exit(main())
