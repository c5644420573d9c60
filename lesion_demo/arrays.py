"""What the scoring modules share: array types, and checks that turn any list-like input into clean arrays."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lesion_demo.errors import DataError

Bools: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]


def margins(logits: ArrayLike) -> Floats:
    """Malignant minus benign logit: float [N, 2] → float64 [N].

    Raises:
        DataError: the shape is another.
    """
    array = np.asarray(logits, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 2:
        raise DataError(f"Logits must have shape [N, 2], one column for each class; these have {list(array.shape)}.")
    return np.asarray(array[:, 1] - array[:, 0])


def malignant_probability(logits: ArrayLike, temperature: float = 1.0, intercept: float = 0.0) -> Floats:
    """Column 1 of softmax(logits / temperature), its log-odds shifted: float [N, 2] → float64 [N] in 0–1."""
    return logistic(margins(logits) / temperature + intercept)


def logistic(x: Floats) -> Floats:
    """1 / (1 + exp(−x)), which neither overflows nor loses what is small."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -x)))


def log_odds(probabilities: ArrayLike) -> Floats:
    """ln(p / (1 − p)), as `lesion_demo.decision.log_odds`: what is closer than 1e-12 to 0 or 1 counts as that close."""
    p = np.clip(np.asarray(probabilities, dtype=np.float64), 1e-12, 1 - 1e-12)
    return np.asarray(np.log(p) - np.log1p(-p))


def checked(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None) -> tuple[Ints, Floats, Floats]:
    """Labels, probabilities and weights as arrays [N], without the pictures of weight 0.

    Raises:
        DataError: shapes differ, a label is not 0 or 1, or a probability or weight is not a number in range.
    """
    y = np.asarray(labels)
    p = np.asarray(probabilities, dtype=np.float64)
    w = np.ones(y.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if y.ndim != 1 or p.shape != y.shape or w.shape != y.shape:
        raise DataError(
            f"Labels, probabilities and weights must have the same length; their shapes are "
            f"{list(y.shape)}, {list(p.shape)} and {list(w.shape)}."
        )
    if not np.isin(y, (0, 1)).all():
        raise DataError("Labels must be 0 (benign) or 1 (malignant).")
    if not ((p >= 0) & (p <= 1)).all():
        raise DataError("Probabilities must be numbers in 0–1; nan here means that the network has diverged.")
    if not (np.isfinite(w) & (w >= 0)).all():
        raise DataError("Weights must be finite and at or above 0.")
    kept = w > 0
    return y[kept].astype(np.int64), p[kept], w[kept]


def has_both(y: Ints) -> bool:
    """Whether benign and malignant pictures are there."""
    return bool(y.any() and not y.all())


def need_pictures(y: Ints) -> None:
    """Raises DataError if there is no picture."""
    if not len(y):
        raise DataError("There are no pictures to score; check that the split is not empty.")


def need_both(y: Ints) -> None:
    """Raises DataError unless benign and malignant pictures are there."""
    if not has_both(y):
        raise DataError(
            f"Curves, temperature and thresholds need benign and malignant pictures; "
            f"there are {int((y == 0).sum())} benign and {int(y.sum())} malignant. Add pictures of the missing class."
        )
