"""The demo in a browser: `python app.py`, then open the address that it prints; `--help` lists what else there is."""

from __future__ import annotations

import sys

from lesion_demo.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["app", *sys.argv[1:]]))
