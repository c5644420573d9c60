"""The rows of the table, in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from functools import cached_property, partial
from io import StringIO
from pathlib import Path
from typing import cast

import numpy as np
import torch
from accelerate import Accelerator

from lesion_demo.config import AugmentConfig, TrainConfig
from lesion_demo.data.dataset import LesionDataset
from lesion_demo.data.picture import Picture
from lesion_demo.data.reader import PictureReader
from lesion_demo.images.load import load_image
from lesion_demo.images.prepare import prepare
from lesion_demo.images.transforms import train_transform
from lesion_demo.network.depthwise import use_fast_depthwise
from lesion_demo.network.model import build_model, set_train_mode
from lesion_demo.serve.analysis import Analysis, Analyzer
from lesion_demo.serve.classifier import Predictor
from lesion_demo.serve.opened import ServedCheckpoint, open_checkpoint
from lesion_demo.serve.scoring import score_files
from scripts.bench.baselines import PlainLoop, StockDemo, read_all, step_plainly
from scripts.bench.pictures import write_large, write_pictures
from scripts.bench.site import analyze_by_clients, first_answer, first_prediction, open_site
from scripts.bench.timing import Row, paired

FORMER_SINGLE_MS = 76.0
"""`analyze` of one look by PyTorch, before any of this, on an AMD EPYC with AVX-512 bf16 and two cores."""
TrainingStep = Callable[[torch.Tensor, torch.Tensor], float]
"""From pictures float32 [B, 3, S, S] and their labels [B], which one step is trained on, to its loss."""
SCORED, TRAIN_SIDE, TRAIN_BATCH = 160, 224, 16
CLIENTS, EACH, SESSIONS = 32, 19, 50
PLAIN = AugmentConfig(
    ring=0.0, crop_scale=(0.7, 1.0), crop_ratio=(0.75, 1.33), rotation=1.0, perspective=0.0, colour_jitter=1.0,
    lighting=0.0, softness=0.0, auto_augment=0.0, erasing=0.0,
)  # fmt: skip
"""What `baselines.PlainPictures` draws."""


@dataclass(frozen=True)
class Bench:
    """What is timed, with what, and where the pictures lie."""

    checkpoint: Path
    pairs: int
    scratch: Path

    @cached_property
    def served(self) -> ServedCheckpoint:
        return open_checkpoint(self.checkpoint)

    @cached_property
    def files(self) -> list[Path]:
        return write_pictures(self.scratch, SCORED)

    def analyzer(self, turns: int | None = None) -> Analyzer:
        """With as many turns as the checkpoint has, or so many."""
        meta = self.served.meta
        spec = replace(meta.preprocess, turns=turns or meta.preprocess.turns)
        return Analyzer(replace(self.served, meta=replace(meta, preprocess=spec)))


def pictures(bench: Bench) -> Iterator[Row]:
    """One picture, small and large."""
    file = bench.files[0]
    single, turned, stock = bench.analyzer(1), bench.analyzer(), StockDemo(bench.checkpoint)
    against = "stock torchvision + grad-cam + overlay"
    own, other, ratio = paired(partial(single.analyze_file, file), partial(stock, file), bench.pairs)
    yield _row("analyze, 300 px, one look", own, against, other, ratio, "≥ 6×")
    own, other, ratio = paired(partial(turned.analyze_file, file), partial(stock, file), bench.pairs)
    yield _row("analyze, 300 px, four turns", own, against, other, ratio, "no goal")
    yield _row(
        "the same", own, "one look, as it was (76 ms, measured once)", FORMER_SINGLE_MS / 1000,
        FORMER_SINGLE_MS / 1000 / own, "≥ 1×",
    )  # fmt: skip
    for megapixels in (12, 48):
        large = write_large(bench.scratch, megapixels)
        ours = partial(turned.analyze_file, large)
        in_full = partial(_in_full, turned, large)
        own, other, ratio = paired(ours, in_full, bench.pairs)
        difference = abs(ours()[0].probability - in_full().probability)
        work = f"analyze, JPEG of {megapixels} megapixels (probabilities differ by {difference:.4f})"
        yield _row(work, own, "decoded in full + the same", other, ratio, "≥ 3×")


def score(bench: Bench) -> Iterator[Row]:
    """A folder of pictures."""
    predictor, loop = Predictor(bench.served), PlainLoop(bench.checkpoint, bench.served.meta.preprocess.turns)
    point = bench.served.meta.operating_points[0]
    names = [str(file) for file in bench.files]
    plain = partial(loop, bench.files, partial(prepare, spec=bench.served.meta.preprocess))
    against = "ONNX Runtime in a plain loop, probabilities alone"
    for work, judged, goal in (
        ("score, with quality and familiarity", point, "≥ 0.9×"),
        ("score --probabilities-only", None, "≥ 1.3×"),
    ):
        ours = partial(silently, lambda judged=judged: list(score_files(names, predictor, judged, 0.5)))
        own, other, ratio = paired(ours, plain, bench.pairs)
        yield Row(work, _rate(len(names) / own), against, _rate(len(names) / other), f"{ratio:.2f}×", goal)


def training(bench: Bench) -> Iterator[Row]:
    """A step, and the pictures for it."""
    threads, config = torch.get_num_threads(), TrainConfig()
    own, other, ratio = paired(partial(our_step(), *_batch()), partial(plain_step(), *_batch()), bench.pairs)
    against = "plain loop: float32, NCHW"
    yield _row(f"training step, B3, {TRAIN_SIDE} px, {TRAIN_BATCH} pictures", own, against, other, ratio, "≥ 3×")
    torch.set_num_threads(1)
    reader, chosen = PictureReader(), [Picture(file, file.name, "bench", "train", 0) for file in bench.files]
    reader.cache(chosen, bench.scratch / "decoded")
    works = {
        "input pipeline, one core, the augmentations of the plain one": PLAIN,
        "input pipeline, one core, all augmentations": config.augment,
    }
    for work, augment in works.items():
        dataset = LesionDataset(chosen, train_transform(config.preprocess, augment, TRAIN_SIDE), reader)
        own, other, ratio = paired(
            lambda dataset=dataset: [dataset[index] for index in range(len(chosen))],
            partial(read_all, bench.files, TRAIN_SIDE),
            bench.pairs,
        )
        ours, theirs = _rate(len(chosen) / own), _rate(len(chosen) / other)
        yield Row(work, ours, "torchvision's PIL transforms from JPEG", theirs, f"{ratio:.2f}×", "≥ 3×")
    reader.close()
    torch.set_num_threads(threads)


def serving(bench: Bench) -> Iterator[Row]:
    """The page as a process."""
    file, analyzer = bench.files[0], bench.analyzer()
    with open_site(bench.checkpoint) as site:
        site.analyze(file)
        idle = site.memory()
        asked = {"gradio_client": site.analyze, "plain HTTP": site.analyze_plainly}
        for way, ask in asked.items():
            own, other, _ = paired(partial(ask, file), partial(analyzer.analyze_file, file), 3 * bench.pairs)
            more = f"{1000 * (own - other):.0f} ms more"
            yield Row(f"the endpoint, by {way}", _ms(own), "analyze_file here", _ms(other), more, "≤ 40 ms more")
        rate = analyze_by_clients(site, bench.files, CLIENTS, EACH)
        busy = site.memory()
        for client in [site.connect() for _ in range(SESSIONS)]:
            site.analyze_plainly(file, client)
        sessions = site.memory()
    yield Row("resident memory, idle", f"{idle:.0f} MB", "", "", "", "≤ 500 MB")
    work = f"resident memory after {CLIENTS * EACH} analyses by {CLIENTS} clients ({rate:.1f}/s)"
    yield Row(work, f"{busy:.0f} MB", "", "", "", "≤ 800 MB")
    yield Row(f"and after {SESSIONS} sessions more", f"{sessions:.0f} MB", "", "", "", "flat")
    started = (partial(one, bench.checkpoint, file) for one in (first_answer, first_prediction))
    own, other, ratio = paired(*started, bench.pairs, lambda task: cast(float, task()))
    against = "torch, torchvision, grad-cam, gradio to one prediction"
    yield Row("python app.py to its first answer", _ms(own), against, _ms(other), f"{1 / ratio:.2f}×", "≤ 0.4×")


def unmeasured(bench: Bench) -> Iterator[Row]:
    """What cannot be timed here, said as what it is."""
    yield Row("audit --pictures 200", "not measured", "15 minutes, before", "", "", "≥ 2.5×")
    yield Row("16 cores keep an H100 busy at 224 px", "not measured: no such machine", "", "", "", "estimate")


PARTS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    one.__name__: one for one in (pictures, score, training, serving, unmeasured)
}


def _in_full(analyzer: Analyzer, file: Path) -> Analysis:
    return analyzer.analyze(load_image(file))


def silently(task: Callable[[], object]) -> object:
    """`task` without the progress that it shows."""
    with redirect_stderr(StringIO()):
        return task()


def our_step() -> TrainingStep:
    """As in `train`: channels last, bf16 where the processor has it, faster depthwise convolutions."""
    from lesion_demo.train.device import make_accelerator

    accelerator: Accelerator = make_accelerator(TrainConfig())
    model = build_model("efficientnet_b3")
    use_fast_depthwise(model)
    model.to(memory_format=torch.channels_last)
    set_train_mode(model)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)

    def step(images: torch.Tensor, targets: torch.Tensor) -> float:
        optimizer.zero_grad()
        with accelerator.autocast():
            output = model(images.to(memory_format=torch.channels_last))
        loss = torch.nn.functional.cross_entropy(output.float(), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def plain_step() -> TrainingStep:
    model = build_model("efficientnet_b3").train()
    return partial(step_plainly, model, torch.optim.AdamW(model.parameters(), 1e-4))


def _batch() -> tuple[torch.Tensor, torch.Tensor]:
    values = np.random.default_rng(1).normal(size=(TRAIN_BATCH, 3, TRAIN_SIDE, TRAIN_SIDE))
    return torch.from_numpy(values.astype(np.float32)), torch.arange(TRAIN_BATCH) % 2


def _row(work: str, own: float, against: str, other: float, ratio: float, goal: str) -> Row:
    return Row(work, _ms(own), against, _ms(other), f"{ratio:.2f}×", goal)


def _ms(taken: float) -> str:
    return f"{1000 * taken:.1f} ms"


def _rate(found: float) -> str:
    return f"{found:.1f}/s"
