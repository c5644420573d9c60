"""One picture through all that is said of it: quality → familiarity → probability → verdict → explanation."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from lesion_demo.checkpoint import Checkpoint, LoadedCheckpoint
from lesion_demo.config import OperatingPoint
from lesion_demo.decision import DEFAULT_OPERATING_POINT, Outcome, call_of, decide, uncertain_zone
from lesion_demo.images import Pixels
from lesion_demo.images.artefacts import Artefact, find_artefacts
from lesion_demo.images.load import load_picture
from lesion_demo.images.look import Look
from lesion_demo.images.quality import QualityReport, check_quality
from lesion_demo.images.tone import tone_of, typology_angle
from lesion_demo.serve.classifier import Predictor
from lesion_demo.serve.explanation import Explainer, Heat, HeatMap, overlay, place
from lesion_demo.serve.familiarity import Familiarity, shows_bare_skin
from lesion_demo.serve.guard import one_picture
from lesion_demo.serve.opened import ServedCheckpoint

NOTEBOOK_SIDE = 400
NOTEBOOK_HTML = Markup("<img src='{source}' alt='The picture, and its heat map'><p>{words}</p>")
"""Longer side, pixels, of the picture and of its heat map in a notebook."""


@dataclass(frozen=True)
class Analysis:
    """What is said of one picture.

    Attributes:
        probability: of malignancy, 0–1, calibrated at the checkpoint's prevalence.
        margin: closer to the threshold than this, in log-odds, the verdict is `uncertain`.
        quality: is the picture fit to be judged? The probability stands either way.
        familiarity: is it like the pictures that the model has learnt from? None where the checkpoint cannot tell.
        artefacts: what else is in it: a ring, hair, a ruler; each present or not.
        skin_tone: by name, roughly estimated from clear skin, see `lesion_demo.images.tone`.
        heat: over the square [S, S] that the network saw: which places speak for malignant, and which against,
            whatever the verdict.
        lesion: bool [S, S] over the same square, True on the lesion; None where none stands out from the skin.
        visible: that square in the picture: left, top, width, height in pixels.
        shape: height and width of the picture in pixels.
        spread: standard deviation of the log-odds over the turns in which the network saw the picture; None after a
            single look.
        first_of_several: did the file hold more pictures, of which nothing is said here?
        id: of this picture's analysis, a fresh random token; all that is said of the picture carries it.
        picture: uint8 [H, W, 3], for a notebook to show; None on the page, which keeps a smaller one.
    """

    probability: float
    operating_point: OperatingPoint
    margin: float
    quality: QualityReport
    familiarity: Familiarity | None
    artefacts: tuple[Artefact, ...]
    skin_tone: str
    heat: HeatMap
    lesion: NDArray[np.bool_] | None
    visible: tuple[int, int, int, int]
    shape: tuple[int, int]
    spread: float | None = None
    first_of_several: bool = False
    id: str = field(default_factory=lambda: token_hex(16))
    picture: Pixels | None = None

    @property
    def assessable(self) -> bool:
        """Is there a verdict at all?"""
        return self.quality.assessable and (self.familiarity is None or self.familiarity.familiar)

    @property
    def photograph(self) -> bool:
        """Was the picture, by its looks, taken without a dermatoscope, outside what the model was tested on?"""
        return self.familiarity is not None and self.familiarity.photograph

    @property
    def verdict(self) -> Outcome:
        """One of four; `call` is the plain answer behind it."""
        return decide(self.probability, self.operating_point, margin=self.margin, assessable=self.assessable)

    @property
    def call(self) -> str:
        """`benign` or `malignant`, however close to the threshold and however poor the picture."""
        return call_of(self.probability, self.operating_point)

    @property
    def uncertain_zone(self) -> tuple[float, float]:
        """Between these probabilities (0–1) the verdict is `uncertain`."""
        return uncertain_zone(self.operating_point, self.margin)

    def heat_map_for(self, height: int, width: int) -> Heat:
        """The heat map as it is drawn over a copy of the picture that was scaled to this size: [height, width].

        From -1 (speaks against malignant, full colour) to 1 (for it); 0 where the network saw nothing.
        """
        rows, columns = self.shape
        left, top, across, down = self.visible
        x, y = round(left * width / columns), round(top * height / rows)
        right, bottom = round((left + across) * width / columns), round((top + down) * height / rows)
        return place(self.heat.drawn, (x, y, right - x, bottom - y), (height, width))

    def at(self, point: OperatingPoint, margin: float) -> Analysis:
        """The same findings, judged at another operating point with its `margin` in log-odds."""
        return replace(self, operating_point=point, margin=margin)

    @property
    def cautions(self) -> tuple[str, ...]:
        """What to mind about the picture, in a few words each; the page has sentences."""
        found = [f"{check.name} ({check.severity})" for check in self.quality.warnings]
        if self.familiarity is not None and not self.familiarity.familiar:
            bare = shows_bare_skin(self.familiarity, self.quality)
            found.append("no lesion stands out" if bare else "unlike the training pictures")
        if self.photograph:
            found.append("looks as if taken without a dermatoscope")
        if self.first_of_several:
            found.append("first of several pictures in its file")
        return tuple(found)

    def __repr__(self) -> str:
        point = self.operating_point
        return (
            f"Analysis: {self.verdict.value.replace('_', ' ')}; probability of malignancy {self.probability:.3f}, "
            f"threshold {point.threshold:.3f} (operating point {point.name})"
            f"{'; mind: ' if self.cautions else ''}{', '.join(self.cautions)}"
        )

    def _repr_html_(self) -> str | None:
        """For a notebook: the picture and its heat map above the words; None where the picture is not at hand."""
        if self.picture is None:
            return None
        small = Image.fromarray(self.picture)
        small.thumbnail((NOTEBOOK_SIDE, NOTEBOOK_SIDE))
        pixels = np.asarray(small)
        file = io.BytesIO()
        Image.fromarray(np.hstack([pixels, overlay(pixels, self.heat_map_for(*pixels.shape[:2]))])).save(file, "PNG")
        source = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
        return str(NOTEBOOK_HTML.format(source=source, words=repr(self)))


class Analyzer:
    """A checkpoint, ready to be asked about pictures; threads may share one."""

    _shipped: Checkpoint | None = None

    def __init__(
        self,
        loaded: LoadedCheckpoint | ServedCheckpoint,
        shipped: Checkpoint | None = None,
        *,
        device: str | None = None,
    ) -> None:
        """Takes over `loaded`; one that has no engine yet is run by PyTorch on `device`, see `pick_device`.

        Args:
            shipped: where `loaded.meta` is fitted to a clinic, what it was before.

        Raises:
            CheckpointError: the checkpoint lacks the default operating point.
            DeviceError: this machine has no such device.
        """
        self.folder = loaded.folder
        self.meta = loaded.meta
        self._shipped = shipped
        self.meta.operating_point(DEFAULT_OPERATING_POINT)
        self._predictor = Predictor(loaded, device)
        self._explainer = Explainer(self._predictor.engine, loaded.meta.preprocess)

    @property
    def shipped(self) -> Checkpoint:
        """What the checkpoint's own files say; `meta` is what holds here, other where it is fitted to a clinic."""
        return self._shipped or self.meta

    def analyze_file(self, path: str | Path, point: OperatingPoint | None = None) -> tuple[Analysis, Pixels]:
        """Everything about the picture in the file at `path`, as `analyze`, and the picture itself, uint8 [H, W, 3].

        A large one is scaled down on the way, see `load_picture`; what is said of places and sizes is of the file's.

        Raises:
            ImageError: there is no picture that can be read, or that the memory suffices for.
        """
        loaded = load_picture(path, scaled=True)
        with one_picture(f"“{Path(path).name}”"):
            look = Look(loaded.pixels, loaded.whole) if loaded.whole else loaded.pixels
            found = self.analyze(look, point)
        return replace(found, first_of_several=loaded.first_of_several), loaded.pixels

    def margin_at(self, point: OperatingPoint) -> float:
        """In log-odds: closer to the threshold of `point` than this, a verdict is `uncertain`."""
        return self.meta.margin_at(point)

    def point(self, name: str, threshold: float | None = None) -> OperatingPoint:
        """The checkpoint's operating point `name`, or one of that name with a `threshold` (0–1) of one's own.

        Raises:
            CheckpointError: there is none of that name, and no threshold.
        """
        return self.meta.operating_point(name) if threshold is None else OperatingPoint(name, threshold)

    def analyze(self, picture: Pixels | Look, point: OperatingPoint | None = None) -> Analysis:
        """Everything about `picture`, uint8 [H, W, 3] or a look at it, judged at `point` (the default one if none)."""
        point = point or self.point(DEFAULT_OPERATING_POINT)
        look = Look.of(picture)
        inputs = self._predictor.prepare(look)[None]  # [1, 3, S, S]
        with ThreadPoolExecutor(1) as aside:  # the pixels are measured while the network is at work
            measured = aside.submit(lambda: (check_quality(look), find_artefacts(look), typology_angle(look)))
            found = self._predictor.predict(inputs)
        quality, artefacts, angle = measured.result()
        visible = look.visible(self.meta.preprocess)
        return Analysis(
            probability=float(found.probabilities[0]),
            operating_point=point,
            margin=self.margin_at(point),
            quality=quality,
            familiarity=found.familiarity[0],
            artefacts=artefacts,
            skin_tone=tone_of(angle),
            heat=self._explainer.explain(inputs, found.forward),
            lesion=look.lesion_in(visible, inputs.shape[-1]),
            visible=look.in_whole(visible).corner_and_size,
            shape=look.whole or look.shape,
            spread=None if found.spread is None else float(found.spread[0]),
        )

    def probabilities(self, pictures: Iterable[Pixels]) -> NDArray[np.float64]:
        """Calibrated probabilities of malignancy [N] in 0–1 of N pictures uint8 [H, W, 3], without explanations."""
        return self._predictor.probabilities(pictures)
