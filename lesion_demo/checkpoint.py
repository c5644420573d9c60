"""The one place where training and serving meet: weights as safetensors, their meaning as JSON. Never a pickle."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from torch import nn

from lesion_demo.config import CLASSES, OperatingPoint, PreprocessSpec, from_dict, to_dict
from lesion_demo.errors import CheckpointError, LesionDemoError
from lesion_demo.files import replacing
from lesion_demo.learning.familiarity import KnownPictures, read_known, write_known
from lesion_demo.learning.model import build_model
from lesion_demo.learning.weights import WEIGHTS_FILE, load_into, sha256_of, write_weights
from lesion_demo.local_calibration import LocalCalibration

log = logging.getLogger(__name__)

SCHEMA_VERSION = 2
META_FILE = "checkpoint.json"
KNOWN_FILE = "familiarity.safetensors"
CHECKPOINT_VARIABLE = "LESION_CHECKPOINT"
CHECKPOINTS = Path(__file__).resolve().parent.parent / "checkpoints"
PACKAGES = ("lesion-demo", "torch", "torchvision", "numpy", "scikit-learn", "pillow", "accelerate", "safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """What a set of weights means; the app hard-codes none of it.

    Attributes:
        temperature: logits are divided by it before the softmax.
        prevalence: share of malignant pictures (0–1) at which the probabilities are calibrated.
        referral_margin: closer than this to a threshold, in log-odds, a probability is called uncertain; 0 for never.
        referral_margins: the same by the name of an operating point, where it has one of its own.
        val_roc_auc: on the validation split, which chooses between checkpoints.
        metrics: the evaluation report, as in `metrics.json`.
        data: per data set, what went in (counts, a fingerprint of the split).
        weights_sha256: of the weights file, hex.
        known_sha256: of the file that says which pictures are familiar, hex; empty where there is none.
        local: the clinic that all of the above is fitted to, in memory alone (`lesion_demo.serving.local`); None as
            shipped.
    """

    backbone: str
    preprocess: PreprocessSpec
    temperature: float
    operating_points: tuple[OperatingPoint, ...]
    val_roc_auc: float
    prevalence: float = 0.5
    referral_margin: float = 0.0
    referral_margins: dict[str, float] = field(default_factory=dict)
    classes: tuple[str, ...] = CLASSES
    trained_at: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    weights_sha256: str = ""
    known_sha256: str = ""
    schema_version: int = SCHEMA_VERSION
    local: LocalCalibration | None = None

    @property
    def intercept(self) -> float:
        """Added to the log-odds after they were divided by the temperature."""
        return 0.0 if self.local is None else self.local.intercept

    def operating_point(self, name: str) -> OperatingPoint:
        """The point called `name`.

        Raises:
            CheckpointError: there is none.
        """
        for point in self.operating_points:
            if point.name == name:
                return point
        names = ", ".join(point.name for point in self.operating_points)
        raise CheckpointError(f"The checkpoint has no operating point {name!r}; it has {names}.")

    def margin_at(self, point: OperatingPoint) -> float:
        """The referral margin, in log-odds, at `point`, which may be a threshold of the reader's own."""
        return self.referral_margins.get(point.name, self.referral_margin)


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A checkpoint with its network, in eval mode on the CPU, float32.

    Attributes:
        known: which pictures are familiar to it; None where it cannot tell.
    """

    folder: Path
    meta: Checkpoint
    model: nn.Module
    known: KnownPictures | None = None


def save_checkpoint(folder: Path, model: nn.Module, meta: Checkpoint, known: KnownPictures | None = None) -> Checkpoint:
    """Write `model` in half precision, `known` and `meta` into `folder`; the JSON goes last: what has one is complete.

    Raises:
        CheckpointError: the disk refused, or `meta` is fitted to a clinic.
    """
    if meta.local is not None:
        raise CheckpointError(f"A checkpoint is saved as it ships, not fitted to {meta.local.name}: save that fit.")
    write_weights(folder / WEIGHTS_FILE, model.state_dict(), half=True)
    meta = replace(meta, weights_sha256=sha256_of(folder / WEIGHTS_FILE))
    if known is not None:
        try:
            write_known(folder / KNOWN_FILE, known)
        except OSError as error:
            raise CheckpointError(_unwritten(folder / KNOWN_FILE, error)) from error
        meta = replace(meta, known_sha256=sha256_of(folder / KNOWN_FILE))
    return save_meta(folder, meta)


def save_meta(folder: Path, meta: Checkpoint) -> Checkpoint:
    """Write `meta`, with the versions of the packages that made it, beside the weights that are in `folder`.

    Raises:
        CheckpointError: the disk refused.
    """
    meta = replace(meta, packages=package_versions())
    path = folder / META_FILE
    try:
        with replacing(path) as part:
            part.write_text(json.dumps(_to_file(meta), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise CheckpointError(_unwritten(path, error)) from error
    return meta


def _to_file(meta: Checkpoint) -> dict[str, Any]:
    """What `checkpoint.json` holds; a clinic's own fit is a file of its own."""
    return {name: value for name, value in to_dict(meta).items() if name != "local"}


def _unwritten(path: Path, error: OSError) -> str:
    return f"Could not write {path} ({error}). Free some disk space and evaluate again."


def read_meta(folder: Path) -> Checkpoint:
    """The meaning of the checkpoint in `folder`, without its weights.

    Raises:
        CheckpointError: it is missing, damaged, or of a newer schema.
    """
    path = folder / META_FILE
    if not path.is_file():
        raise CheckpointError(f"No checkpoint in {folder}: train with 'python train.py --data DIR', or name another.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        found = int(values["schema_version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged ({error}): copy the checkpoint again.") from error
    if found > SCHEMA_VERSION:
        raise CheckpointError(
            f"{path} has schema {found}, newer than the {SCHEMA_VERSION} that this version reads: update lesion-demo."
        )
    try:
        meta = from_dict(Checkpoint, values)
    except LesionDemoError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if meta.classes != CLASSES:
        raise CheckpointError(f"{path} has the classes {', '.join(meta.classes)}, not {', '.join(CLASSES)}.")
    return meta


def load_checkpoint(folder: Path) -> LoadedCheckpoint:
    """The checkpoint in `folder`, its files checked against their hashes.

    Raises:
        CheckpointError: as `read_meta`, or the weights are missing, damaged, or of another backbone.
    """
    meta = read_meta(folder)
    weights = folder / WEIGHTS_FILE
    if weights.is_file():
        _check_hash(weights, meta.weights_sha256)
    try:
        model = build_model(meta.backbone)
    except LesionDemoError as error:
        raise CheckpointError(f"{folder / META_FILE}: {error}") from error
    load_into(model, weights, backbone=meta.backbone)
    known = None
    if meta.known_sha256:
        _check_hash(folder / KNOWN_FILE, meta.known_sha256)
        known = read_known(folder / KNOWN_FILE)
    return LoadedCheckpoint(folder, meta, model.eval(), known)


def _check_hash(path: Path, expected: str) -> None:
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: copy the checkpoint again.")
    if sha256_of(path) != expected:
        raise CheckpointError(
            f"{path} is not the file that {META_FILE} describes (truncated, or from another run): copy it again."
        )


def find_best_checkpoint(folder: Path | None = None, chosen: str | Path | None = None) -> Path:
    """The checkpoint folder to use: `chosen`, else LESION_CHECKPOINT, else the best complete one below `folder`.

    The best has the highest validation ROC-AUC. Incomplete or unreadable ones are passed over, with a warning.

    Raises:
        CheckpointError: there is none.
    """
    named = chosen or os.environ.get(CHECKPOINT_VARIABLE)
    if named:
        return Path(named)
    folder = folder or CHECKPOINTS
    found: list[tuple[float, Path]] = []
    for path in sorted(folder.glob(f"*/{META_FILE}")):
        try:
            meta = read_meta(path.parent)
        except CheckpointError as error:
            log.warning("Passed over: %s", error)
            continue
        if (path.parent / WEIGHTS_FILE).is_file():
            found.append((meta.val_roc_auc, path.parent))
    if not found:
        raise CheckpointError(
            f"No complete checkpoint in {folder}: train one with 'python train.py --data DIR', or set "
            f"{CHECKPOINT_VARIABLE} to a checkpoint's folder."
        )
    return max(found)[1]


def package_versions() -> dict[str, str]:
    """Versions of what the figures depend on; a package that is not installed is left out."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
