"""The one place where training and serving meet: weights as safetensors, their meaning as JSON. Never a pickle."""

from __future__ import annotations

import logging
import os
from collections import Counter
from dataclasses import dataclass, field, fields, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from lesion_demo.config import CLASSES, STRICT, InnerShare, OperatingPoint, PreprocessSpec, Share, from_dict, to_dict
from lesion_demo.errors import CheckpointError, LesionDemoError
from lesion_demo.files import sha256_of, write_json
from lesion_demo.local_calibration import LocalCalibration
from lesion_demo.network.familiarity import FamiliarityModel, read_known, write_known
from lesion_demo.results import DataSet, Metrics, to_json
from lesion_demo.run_folder import GRAPH_FILE, KNOWN_FILE, META_FILE, WEIGHTS_FILE
from lesion_demo.schema import SCHEMA_VERSION, read_values, require_all
from lesion_demo.shown import Run, choose, fingerprint_of_folder, read_shown
from lesion_demo.vouched import check_hash, check_numbers

if TYPE_CHECKING:  # PyTorch is brought in where a network is built or saved, and serving does neither
    from torch import nn

log = logging.getLogger(__name__)

CHECKPOINT_VARIABLE = "LESION_CHECKPOINT"
CHECKPOINTS = Path(__file__).resolve().parent.parent / "checkpoints"
PACKAGES = ("lesion-demo", "torch", "torchvision", "numpy", "scikit-learn", "pillow", "accelerate", "safetensors")


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Sha256OrNone = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]


def _each_once(points: tuple[OperatingPoint, ...]) -> tuple[OperatingPoint, ...]:
    name, count = Counter(point.name for point in points).most_common(1)[0]
    if count > 1:
        raise ValueError(f"it has {name!r} {count} times")
    return points


@dataclass(frozen=True)
class Checkpoint:
    """What a set of weights means; the app hard-codes none of it.

    Attributes:
        temperature: logits are divided by it before the softmax.
        prevalence: share of malignant pictures (0–1) at which the probabilities are calibrated.
        referral_margin: closer than this to a threshold, in log-odds, a probability is called uncertain; 0 for never.
        referral_margins: the same by the name of an operating point, where it has one of its own.
        val_roc_auc: on the validation split, which chooses between checkpoints that have the same one.
        val_pictures: a fingerprint of that split, see `lesion_demo.shown`; empty where it is not known.
        metrics: the evaluation report, as in `metrics.json`.
        data: per data set, what went in (counts, a fingerprint of the split).
        weights_sha256: of the weights file, hex.
        known_sha256: of the file that says which pictures are familiar, hex; empty where there is none.
        local: the clinic that all of the above is fitted to, in memory alone (`lesion_demo.serve.local`); None as
            shipped.
    """

    __pydantic_config__ = STRICT

    backbone: Annotated[str, Field(min_length=1)]
    preprocess: PreprocessSpec
    temperature: Annotated[float, Field(ge=0.01, le=100)]
    operating_points: Annotated[tuple[OperatingPoint, ...], Field(min_length=1), AfterValidator(_each_once)]
    val_roc_auc: Share
    prevalence: InnerShare = 0.5
    referral_margin: Annotated[float, Field(ge=0)] = 0.0
    referral_margins: dict[str, Annotated[float, Field(ge=0)]] = field(default_factory=dict)
    classes: tuple[str, ...] = CLASSES
    trained_at: str = ""
    metrics: Metrics = field(default_factory=Metrics)
    data: dict[str, DataSet] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    val_pictures: Sha256OrNone = ""
    weights_sha256: Sha256 = ""
    known_sha256: Sha256OrNone = ""
    schema_version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
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
    known: FamiliarityModel | None = None


def save_checkpoint(
    folder: Path, model: nn.Module, meta: Checkpoint, known: FamiliarityModel | None = None
) -> Checkpoint:
    """Write `model` in half precision, `known` and `meta` into `folder`; the JSON goes last: what has one is complete.

    Raises:
        CheckpointError: the disk refused, or `meta` is fitted to a clinic.
    """
    if meta.local is not None:
        raise CheckpointError(f"A checkpoint fitted to {meta.local.name} cannot be saved: save the fit itself instead.")
    from lesion_demo.network.weights import write_weights

    write_weights(folder / WEIGHTS_FILE, model.state_dict(), half=True)
    (folder / GRAPH_FILE).unlink(missing_ok=True)  # of the weights that were here before
    meta = replace(meta, weights_sha256=sha256_of(folder / WEIGHTS_FILE))
    if known is not None:
        meta = save_known(folder, meta, known)
    return save_meta(folder, meta)


def save_known(folder: Path, meta: Checkpoint, known: FamiliarityModel) -> Checkpoint:
    """Write `known` into `folder`; gives `meta` that vouches for it, which is to be saved next.

    Raises:
        CheckpointError: the disk refused.
    """
    try:
        write_known(folder / KNOWN_FILE, known)
    except OSError as error:
        raise CheckpointError(
            f"Could not write {folder / KNOWN_FILE} ({error}). Free some disk space and evaluate again."
        ) from error
    return replace(meta, known_sha256=sha256_of(folder / KNOWN_FILE))


def save_meta(folder: Path, meta: Checkpoint) -> Checkpoint:
    """Write `meta`, with the versions of the packages that made it, beside the weights that are in `folder`.

    Raises:
        CheckpointError: the disk refused.
    """
    meta = replace(meta, packages=package_versions())
    plain = to_dict(meta) | {"metrics": to_json(meta.metrics)}
    del plain["local"]  # a clinic's own fit is a file of its own
    write_json(folder / META_FILE, plain, CheckpointError)
    return meta


def read_meta(folder: Path) -> Checkpoint:
    """The meaning of the checkpoint in `folder`, without its weights.

    Raises:
        CheckpointError: it is missing, damaged, of a newer schema, or a value makes no sense.
    """
    path = folder / META_FILE
    values = read_values(path)
    try:
        own = {each.name for each in fields(Checkpoint)} - {"local"}  # a clinic's own fit is a file of its own
        require_all(values, own | {f"preprocess.{each.name}" for each in fields(PreprocessSpec)})
        meta = from_dict(Checkpoint, values)
    except LesionDemoError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if meta.classes != CLASSES:
        raise CheckpointError(f"{path} has the classes {', '.join(meta.classes)}, not {', '.join(CLASSES)}.")
    return meta


def load_checkpoint(folder: Path) -> LoadedCheckpoint:
    """The checkpoint in `folder`, its files checked against their hashes.

    Raises:
        CheckpointError: as `read_meta`, or a file is missing, damaged, of another backbone, or not vouched for.
    """
    from lesion_demo.network.forward import early_size
    from lesion_demo.network.model import build_model
    from lesion_demo.network.weights import load_into

    meta = read_verified(folder)
    try:
        model = build_model(meta.backbone)
        load_into(model, folder / WEIGHTS_FILE, backbone=meta.backbone)
        return LoadedCheckpoint(folder, meta, model.eval(), read_known_of(folder, meta, early_size(model)))
    except CheckpointError:
        raise
    except LesionDemoError as error:
        raise CheckpointError(f"{folder / META_FILE}: {error}") from error
    except OSError as error:
        raise CheckpointError(f"{folder} could not be read ({error}): copy the checkpoint again.") from error


def read_verified(folder: Path) -> Checkpoint:
    """As `read_meta`; what it says of the weights beside it holds.

    Raises:
        CheckpointError: as `read_meta`, or the weights are missing, damaged, or others.
    """
    meta = read_meta(folder)
    check_hash(folder / WEIGHTS_FILE, meta.weights_sha256)
    check_numbers(folder / WEIGHTS_FILE)
    return meta


def read_known_of(folder: Path, meta: Checkpoint, early: int) -> FamiliarityModel | None:
    """What is familiar to the network of `meta`, which gives so many `early` features; None where it cannot tell.

    Raises:
        CheckpointError: the file is missing, damaged, not vouched for, or of another network.
    """
    path = folder / KNOWN_FILE
    if not meta.known_sha256:
        if path.exists():
            raise CheckpointError(f"{path} exists, but {META_FILE} has no known_sha256: copy the checkpoint again.")
        return None
    check_hash(path, meta.known_sha256)
    known = read_known(path)
    if len(known.mean) != early:
        raise CheckpointError(f"{path} was made for another network than {meta.backbone}: copy the checkpoint again.")
    return known


def find_best_checkpoint(folder: Path | None = None, chosen: str | Path | None = None) -> Path:
    """The checkpoint folder to use: `chosen`, else LESION_CHECKPOINT, else the best one in `folder`.

    The best is the one that shown.json names, or one that scored higher on the same validation pictures, see
    `lesion_demo.shown`. Others that are unreadable are passed over, with a warning.

    Raises:
        CheckpointError: there is none, or no telling which.
    """
    named = chosen or os.environ.get(CHECKPOINT_VARIABLE)
    if named:
        return Path(named)
    folder = folder or CHECKPOINTS
    runs = runs_in(folder)
    if not runs:
        none = f"{folder} has no complete one" if folder.is_dir() else "none comes with the installed package"
        raise CheckpointError(
            f"No checkpoint was named, and {none}: name its folder, set {CHECKPOINT_VARIABLE} to it, or train "
            "one with 'python -m lesion_demo train --data DIR'."
        )
    return choose(runs, read_shown(folder), folder).folder


def runs_in(folder: Path) -> list[Run]:
    """Every run in `folder` whose description can be read, by name."""
    runs = []
    for path in sorted(folder.glob(f"*/{META_FILE}")):
        try:
            runs.append(run_in(path.parent))
        except CheckpointError as error:
            log.warning("Skipped: %s", error)
    return runs


def run_in(folder: Path) -> Run:
    """The run in `folder`, as far as it is compared with others.

    Raises:
        CheckpointError: as `read_meta`.
    """
    meta = read_meta(folder)
    return Run(folder, meta.val_roc_auc, meta.val_pictures or fingerprint_of_folder(folder))


def package_versions() -> dict[str, str]:
    """Versions of what the figures depend on; a package that is not installed is left out."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
