"""Train on image folders: `python train.py --data DIR`; `--help` lists the rest.

`accelerate launch train.py …` does the same on several GPUs or machines; on several CPUs, where that starts one
process only, `torchrun --nproc-per-node 2 -- train.py …` does.
"""

from __future__ import annotations

import sys

from lesion_demo.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
