"""What of a verdict is the clinic's: each data set's pictures without their lesions, and lesions on another's skin.

Of validation pictures, since a test split may hold one data set alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lesion_demo.arrays import Bools, Floats, logistic, margins
from lesion_demo.config import OperatingPoint
from lesion_demo.data.dataset import PictureReader, measure_all
from lesion_demo.data.picture import Picture, by_source
from lesion_demo.decision import log_odds
from lesion_demo.evaluate.intervals import roc_auc_of, share_if_any, share_of
from lesion_demo.evaluate.reporting import Scorer
from lesion_demo.images import Pixels, skin
from lesion_demo.images.lesion import Mask, resized
from lesion_demo.images.look import Look
from lesion_demo.results import ClinicAudit, Interval, MoveResult, SkinResult

DISC = 0.7
"""Reach of the disc that is painted out of every picture alike, as a share of half the visible square's side."""
FOLDS = 5


def audit_clinics(
    scorer: Scorer, pictures: Sequence[Picture], *, temperature: float, point: OperatingPoint, limit: int
) -> ClinicAudit:
    """Figures of each data set among `pictures`, all dermoscopic, of about `limit` pictures of each.

    - By its skin alone: ROC-AUC and mean log-odds with the lesion painted out, by its outline, and by the same middle
      disc in every picture, since the size of what was painted tells something, too. Training paints nothing out.
    - By another's skin: verdicts that turn when lesions of the other data sets are put on it.
    - Whether the network's last features tell the data sets apart, on benign pictures.
    """
    # In an order that has nothing to do with how they were filed: the first few stand for all.
    mixed = by_source(sorted(pictures, key=lambda picture: picture.content_hash))
    chosen = [picture for own in mixed.values() for picture in own[:limit]]
    seen = measure_all(chosen, lesion_place, scorer.reader, "lesions", workers=scorer.workers)
    outlined, within = (np.array(values, dtype=bool) for values in zip(*seen, strict=True))
    whole = scorer.predict(chosen, "clinics", None)
    edits = (PaintedOut(by_disc=False), PaintedOut(by_disc=True))
    bare, disc = (margins(one.logits) / temperature for one in scorer.edited(chosen, edits, "without the lesion"))
    seen_as = Odds(margins(whole.logits) / temperature, bare, disc, outlined, within)
    benign = [picture for picture in chosen if picture.label == 0]
    features = scorer.last_features(benign, "clinics, features") if benign else None
    return ClinicAudit(
        skins=tuple(_skin_result(source, chosen, seen_as, point) for source in mixed),
        moves=tuple(_moves(scorer, chosen, seen_as, temperature, point)),
        told=None if features is None else clinic_told(features, [picture.source for picture in benign]),
    )


@dataclass(frozen=True)
class Odds:
    """Calibrated log-odds [N] of pictures as they are, without their lesion, and without their middle.

    Attributes:
        outlined: bool [N], was a lesion made out?
        within: bool [N], does it lie within the middle disc?
    """

    whole: Floats
    bare: Floats
    disc: Floats
    outlined: Bools
    within: Bools


@dataclass(frozen=True)
class PaintedOut:
    """An edit: the lesion covered with the skin from around it; a picture where none was made out stays as it is."""

    by_disc: bool

    def __call__(self, image: Pixels, index: int) -> Pixels:
        look = Look.of(image)
        box = look.field.middle_square
        mask = skin.disc(box.width, DISC) if self.by_disc else _outline(look)
        if mask is None:
            return image
        copy = image.copy()
        box.cut(copy)[:] = skin.paint_out(box.cut(image), mask)
        return copy


@dataclass(frozen=True)
class OnOtherSkin:
    """An edit: the picture's lesion in the place of that of one of `hosts`, whose lesions were all made out."""

    hosts: tuple[Picture, ...]
    reader: PictureReader

    def __call__(self, image: Pixels, index: int) -> Pixels:
        look, host = Look.of(image), Look.of(self.reader(self.hosts[index % len(self.hosts)]))
        mask, own_mask = _outline(look), _outline(host)
        assert mask is not None, "only pictures with an outline are moved"
        assert own_mask is not None, "only pictures with an outline are hosts"
        copy = host.pixels.copy()
        box = host.field.middle_square
        lesion = look.field.middle_square.cut(image)
        box.cut(copy)[:] = skin.transplant(lesion, mask, box.cut(host.pixels), own_mask)
        return copy


def lesion_place(image: Pixels) -> tuple[bool, bool]:
    """Of `image` (uint8 [H, W, 3]): was a lesion made out, and does all of it lie within the middle disc?"""
    mask = _outline(Look.of(image))
    return mask is not None, mask is not None and not (mask & ~skin.disc(mask.shape[0], DISC)).any()


def clinic_told(features: Floats, sources: Sequence[str]) -> float | None:
    """How well `features` [N, C] tell the `sources` [N] of pictures: balanced accuracy of a logistic regression.

    Cross-validated; chance is one over the number of data sets. None where there are fewer than two to be told apart.
    """
    names, counts = np.unique(sources, return_counts=True)
    if len(names) < 2 or counts.min() < FOLDS:
        return None
    regression = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000, class_weight="balanced"))
    told = cross_val_predict(regression, features, np.array(sources), cv=FOLDS)
    return float(balanced_accuracy_score(sources, told))


def _outline(look: Look) -> Mask | None:
    """The lesion over the middle square of the lit field, bool [s, s]; None where none was made out."""
    if look.lesion is None:
        return None
    side = look.field.middle_square.width
    return np.asarray(resized(look.lesion, side, side)) > 127


def _skin_result(source: str, pictures: Sequence[Picture], odds: Odds, point: OperatingPoint) -> SkinResult:
    own = np.array([picture.source == source for picture in pictures])
    labels = np.array([picture.label for picture in pictures])
    groups = np.array([picture.group for picture in pictures])
    benign = own & (labels == 0)

    def auc(values: Floats, among: Bools) -> Interval | None:
        return roc_auc_of(labels[among], logistic(values[among]), groups[among].tolist())

    return SkinResult(
        source=source,
        n_benign=int(benign.sum()),
        n_malignant=int((own & (labels == 1)).sum()),
        specificity=share_if_any(odds.whole[benign] < log_odds(point.threshold)),
        roc_auc=auc(odds.whole, own),
        outlined=int((own & odds.outlined).sum()),
        without_lesion=auc(odds.bare, own & odds.outlined),
        within_disc=int((own & odds.within).sum()),
        without_disc=auc(odds.disc, own & odds.within),
        log_odds=_mean(odds.whole[benign]),
        log_odds_without_lesion=_mean(odds.bare[benign & odds.outlined]),
    )


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def _moves(
    scorer: Scorer, pictures: Sequence[Picture], odds: Odds, temperature: float, point: OperatingPoint
) -> Iterator[MoveResult]:
    """For each data set, what becomes of the others' lesions on the skin of its benign pictures."""
    threshold = log_odds(point.threshold)
    for source in by_source(pictures):
        there = [i for i in range(len(pictures)) if odds.outlined[i]]
        hosts = tuple(pictures[i] for i in there if pictures[i].source == source and pictures[i].label == 0)
        places = [i for i in there if pictures[i].source != source]
        if not hosts or not places:
            continue
        edit = OnOtherSkin(hosts, scorer.reader)
        (moved,) = scorer.edited([pictures[i] for i in places], [edit], f"onto {source}")
        before, after = odds.whole[places], margins(moved.logits) / temperature
        turned = (before >= threshold) != (after >= threshold)
        yield MoveResult(source, len(places), share_of(turned), float((after - before).mean()))
