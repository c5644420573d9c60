"""Kills a small training at random moments, and fills its disk at every file that it saves; then lets it go on.

In the end its weights are compared with those of one that was left alone.

python -m scripts.kills                                    # 20 times SIGKILL, some minutes on one core
python -m scripts.kills --kills 3 --every 9 --no-record    # fewer, of which nothing is kept
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import itertools
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from lesion_demo import files
from lesion_demo.__main__ import main as lesion_demo
from lesion_demo.files import sha256_of
from lesion_demo.images.phantom import write_phantom_dataset
from lesion_demo.run_folder import CONFIG_FILE, KNOWN_FILE, WEIGHTS_FILE
from lesion_demo.train.state import load_state
from scripts.reliability import record

TINY = {
    "init": "none",
    "backbone": "mobilenet_v3_small",
    "stages": [{"name": "all", "epochs": 4, "image_size": 64, "batch_size": 16}],
    "preprocess": {"image_size": 64},
    "micro_batch": 8,
    "precision": "no",
    "workers": 0,
    "val_fraction": 0.2,
}
RUN = "r"
FULL = "(the disk is full)"
"""Written to the log of a training at that moment."""


@dataclass
class Kills:
    """What happened.

    Attributes:
        kills: SIGKILLs that met a training at work; `early` of them came before there was anything to go on from.
        runs: trainings that reached their end after one kill or more.
        seconds: that a training takes at least which is left alone; the moments are drawn from these.
        full: files at which a training found the disk full, each in a training of its own.
        faults: in words: weights that differ, trainings that did not go on, and a full disk that was not told in a
            sentence.
    """

    kills: int = 0
    early: int = 0
    runs: int = 0
    full: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def work(arguments: list[str], log: Path, full_at: int) -> None:
    """In a process of its own: train, write what is said into `log`, and have the disk full at that file, from 1 on."""
    saved, sync = itertools.count(1), files._sync

    def refuse(path: Path, flags: int) -> None:
        if flags & os.O_RDWR and next(saved) == full_at:  # not the folder, which follows each file
            print(FULL, flush=True)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        sync(path, flags)

    files._sync = refuse
    with log.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        sys.exit(lesion_demo(["train", *arguments]))


class Training:
    """A training in `folder`, which can be started again and again; `target` does it, in a process of its own."""

    def __init__(self, folder: Path, start: list[str], target: Callable[[list[str], Path, int], None] = work) -> None:
        self._out, self._log, self._start, self._target = folder / "out", folder / "log", start, target
        folder.mkdir()
        # Processes are forked from one that has PyTorch, which takes longer to load than this training lasts.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["lesion_demo.train.run", "lesion_demo.cli.train"])

    def load(self) -> None:
        """Start the process that others are forked from."""
        process = self._context.Process(target=int)
        process.start()
        process.join()

    @property
    def begun(self) -> bool:
        """Is there anything to go on from?"""
        return (self._out / RUN / CONFIG_FILE).is_file()

    def begin(self, full_at: int = 0) -> BaseProcess:
        """The training at work; it goes on from where it was stopped."""
        own = ["--resume"] if self.begun else self._start
        arguments = ["--out", str(self._out), "--run", RUN, *own]
        process = self._context.Process(target=self._target, args=(arguments, self._log, full_at))
        process.start()
        return process

    def said(self) -> str:
        return self._log.read_text(encoding="utf-8").strip()

    def weights(self) -> tuple[str, str, str]:
        """The hashes of all that it has learnt: weights of the best and of the last epoch, and what is familiar."""
        last = hashlib.sha256()
        for name, value in sorted(load_state(self._out / RUN)["net"].items()):
            last.update(name.encode() + value.numpy().tobytes())
        folder = self._out / RUN
        return sha256_of(folder / WEIGHTS_FILE), sha256_of(folder / KNOWN_FILE), last.hexdigest()


def disturb(folder: Path, kills: int, chance: random.Random, every: int = 1) -> Kills:
    """Kill trainings in `folder` at that many moments; fill the disk at one in `every` of the files saved."""
    write_phantom_dataset(folder / "data", train=16, val=0, test=6, seed=0, size=96)
    config = folder / "tiny.json"
    config.write_text(json.dumps(TINY), encoding="utf-8")
    start = ["--data", str(folder / "data"), "--config", str(config)]
    outcome = Kills()
    alone = Training(folder / "alone", start)
    alone.load()
    began = time.monotonic()
    alone.begin().join()
    outcome.seconds = round(time.monotonic() - began, 2)
    expected = alone.weights()
    number = 0
    while outcome.kills < kills and not outcome.faults:
        began = time.monotonic()
        training, met, number = Training(folder / f"killed {number}", start), 0, number + 1
        while True:
            process = training.begin()
            process.join(chance.uniform(0, outcome.seconds) if outcome.kills < kills else None)
            if process.exitcode is not None:
                break
            process.kill()
            process.join()
            met += 1
            outcome.kills += 1
            outcome.early += not training.begun
        if not met:  # the machine has more time for it than before
            outcome.seconds = round(min(outcome.seconds, time.monotonic() - began), 2)
        if process.exitcode != 0:
            outcome.faults.append(f"After {met} kills it did not go on: {training.said()[-300:]}")
        elif met:
            outcome.runs += 1
            if training.weights() != expected:
                outcome.faults.append(f"After {met} kills its weights were others.")
    if every:
        fill(folder, start, expected, every, outcome)
    return outcome


def fill(folder: Path, start: list[str], expected: tuple[str, str, str], every: int, outcome: Kills) -> None:
    """Let trainings find the disk full at one file after another, and add to `outcome` what came of it."""
    for number in itertools.count(1, every):
        training = Training(folder / f"full {number}", start)
        process = training.begin(number)
        process.join()
        said = training.said()
        if FULL not in said:
            return  # it saves fewer files
        outcome.full += 1
        if process.exitcode == 0:  # it went on without a copy that only saves time
            if training.weights() != expected:
                outcome.faults.append(f"Without file {number} its weights were others: {said[-300:]}")
            continue
        told = [line for line in said.splitlines() if line.startswith("error: ")]
        if "Traceback" in said or process.exitcode != 1 or len(told) != 1:
            outcome.faults.append(f"A full disk at file {number} was not told in a sentence: {said[-300:]}")
        again = training.begin()
        again.join()
        if again.exitcode != 0 or training.weights() != expected:
            outcome.faults.append(f"After a full disk at file {number} it did not go on: {training.said()[-300:]}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--every", type=int, default=1, help="fill the disk at one in so many files; 0: at none")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--no-record", action="store_true", help="leave docs/RELIABILITY.md as it is")
    args = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"  # sums in one order
    with tempfile.TemporaryDirectory() as folder:
        outcome = disturb(Path(folder), args.kills, random.Random(args.seed), args.every)
    print(json.dumps(asdict(outcome), indent=2))
    if not args.no_record:
        record("kills", asdict(outcome))
    return int(bool(outcome.faults))


if __name__ == "__main__":
    sys.exit(main())
