"""A training that is stopped as by a terminal, `timeout` or SLURM: a signal to all of its processes at once."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # comes with accelerate

from lesion_demo.images.phantom import write_phantom_dataset
from lesion_demo.run_folder import HISTORY_FILE, META_FILE
from scripts.kills import RUN, TINY, Training, work


def in_a_group(arguments: list[str], log: Path, full_at: int) -> None:
    """`work`, in a process group of its own, as a shell starts it."""
    os.setsid()
    multiprocessing.set_start_method("fork", force=True)  # for its workers: the usual one, and much faster
    work(arguments, log, full_at)


def test_a_signal_to_all_of_its_processes_stops_it_with_a_sentence_and_it_goes_on(tmp_path: Path) -> None:
    write_phantom_dataset(tmp_path / "data", train=24, val=4, test=0, seed=0, size=64)
    stage = TINY["stages"][0] | {"epochs": 6}  # type: ignore[index]
    config = TINY | {"workers": 1, "stages": [stage]}
    (tmp_path / "tiny.json").write_text(json.dumps(config), encoding="utf-8")
    words = ["--data", str(tmp_path / "data"), "--config", str(tmp_path / "tiny.json")]
    training = Training(tmp_path / "stopped", words, in_a_group)
    folder = tmp_path / "stopped" / "out" / RUN
    for epoch, number in ((1, signal.SIGTERM), (2, signal.SIGINT)):
        process, end = training.begin(), time.monotonic() + 100
        while not ((folder / HISTORY_FILE).is_file() and f"\n{epoch}," in (folder / HISTORY_FILE).read_text()):
            assert time.monotonic() < end, training.said()
            time.sleep(0.005)
        assert process.pid is not None
        while not (workers := psutil.Process(process.pid).children()):
            time.sleep(0.001)
        time.sleep(0.05)  # the worker is at work, and so is the network
        os.kill(workers[0].pid, number)  # nobody knows which of them gets it first
        process.join(0.3)
        os.killpg(process.pid, number)
        process.join()
        assert f"Stopped. Every finished epoch is saved: continue with --resume --run {RUN}." in training.said()
        assert "Traceback" not in training.said()
        assert process.exitcode == 128 + number
    assert not (folder / META_FILE).exists()
    process = training.begin()
    process.join()
    assert process.exitcode == 0, training.said()
    assert (folder / META_FILE).is_file()
