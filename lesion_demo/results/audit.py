"""What `audit.json` holds: what moves a checkpoint's verdicts and should not, and what is held back."""

from __future__ import annotations

from dataclasses import dataclass, field

from lesion_demo.config import OperatingPoint, Share
from lesion_demo.results.base import LOOSE, Count, Figure, Interval, ShareOrNan


@dataclass(frozen=True)
class ChangeResult:
    """What one change did to N pictures' verdicts at one operating point.

    Attributes:
        flips: share of verdicts turned, of all pictures; `flips_benign` and `flips_malignant` of those of a class.
        shift_benign, shift_malignant: mean change of the probability of malignancy in a class.

    What is of a class is None where the pictures hold none of it.
    """

    name: str
    n: Count
    flips: Figure
    flips_benign: Interval | None
    flips_malignant: Interval | None
    shift_benign: float | None
    shift_malignant: float | None

    @property
    def is_ring(self) -> bool:
        """Is the change a drawn dermatoscope ring?"""
        return self.name.startswith("ring")


@dataclass(frozen=True)
class Subgroup:
    """Figures among some of the pictures, by one trait of theirs; None where a class that they need is absent."""

    name: str
    n_benign: Count
    n_malignant: Count
    sensitivity: Interval | None
    specificity: Interval | None
    roc_auc: Interval | None


@dataclass(frozen=True)
class UntouchedResult:
    """What is held back of a data set's validation pictures, as they are.

    Attributes:
        warned: share with a quality warning of any severity; `severe` is the share too poor to be judged.
        unfamiliar: share refused as unlike the training pictures or as bare skin; None where it cannot be told.
        photograph: share taken for photographs without a dermatoscope; None likewise.
    """

    source: str
    n: Count
    warned: Interval
    severe: Interval
    unfamiliar: Interval | None
    photograph: Interval | None = None


@dataclass(frozen=True)
class DegradationResult:
    """What spoiling N test pictures did to the quality checks and to the model.

    Attributes:
        warned: share with the right warning; `severe` is the share too poor to be judged.
        roc_auc: on all of them; `roc_auc_unwarned` on those without any warning; None where a class is absent.
        accuracy: at the audit's operating point.
    """

    name: str
    unit: str
    level: str
    strength: int | float
    n: Count
    warned: Interval
    severe: Interval
    roc_auc: Interval | None
    roc_auc_unwarned: Interval | None
    accuracy: Interval


@dataclass(frozen=True)
class PlantedResult:
    """What the page says against N test pictures in which a fault was planted.

    Attributes:
        named: share of the pictures where the fault is named.
        reasons: how many are given for all of them, those left out that are given for the pictures as they are.
        right: how many of these name the fault.
        unlike: how many say only that the picture is unlike the training pictures.
    """

    name: str
    n: Count
    named: Interval
    reasons: Count
    right: Count
    unlike: Count

    @property
    def other(self) -> int:
        """How many name another fault."""
        return self.reasons - self.right - self.unlike


@dataclass(frozen=True)
class UnrelatedResult:
    """Pictures of one kind that show no lesion.

    Attributes:
        unfamiliar: share refused as unlike the training pictures, or as bare skin.
        refused: share without a verdict, for that or for poor quality.
    """

    kind: str
    n: Count
    unfamiliar: Interval
    refused: Interval


@dataclass(frozen=True)
class NewClinicResult:
    """Pictures of lesions from elsewhere, where one data set alone is known: the share that is let through."""

    known_source: str
    source: str
    n: Count
    passed: Interval


@dataclass(frozen=True)
class Zone:
    """One of the three answers, and how often it was wrong.

    Attributes:
        share: of all pictures.
        errors: share of the other class among the zone's pictures; None for `uncertain`, which errs with none, and
            where the zone is empty.
    """

    name: str
    n: Count
    share: Interval
    errors: Interval | None


@dataclass(frozen=True)
class ReferralResult:
    """The three zones of test pictures at one operating point."""

    point: OperatingPoint
    zones: tuple[Zone, ...]


@dataclass(frozen=True)
class Coverage:
    """How well a score of confidence sorts right calls from wrong ones.

    Attributes:
        area: of accuracy over coverage, 0–1.
        coverage, accuracy: some points of the curve, 0–1.
    """

    name: str
    area: Share
    coverage: tuple[Share, ...]
    accuracy: tuple[Share, ...]


@dataclass(frozen=True)
class SkinResult:
    """One data set's validation pictures, whole and with their lesions painted out.

    Attributes:
        specificity: of the whole pictures at the audit's operating point.
        outlined: pictures whose lesion was made out; `without_lesion` is the ROC-AUC with it painted out.
        within_disc: those whose lesion lies within a middle disc; `without_disc` is the ROC-AUC with it painted out.
        log_odds, log_odds_without_lesion: mean calibrated log-odds of benign pictures.

    None where a class that a figure needs is absent.
    """

    source: str
    n_benign: Count
    n_malignant: Count
    specificity: Interval | None
    roc_auc: Interval | None
    outlined: Count
    without_lesion: Interval | None
    within_disc: Count
    without_disc: Interval | None
    log_odds: float | None
    log_odds_without_lesion: float | None


@dataclass(frozen=True)
class MoveResult:
    """N lesions of other data sets on the skin of `source`.

    Attributes:
        flips: share of verdicts turned by it.
        shift: mean change of the calibrated log-odds.
    """

    source: str
    n: Count
    flips: Interval
    shift: float


@dataclass(frozen=True)
class ClinicAudit:
    """What the clinic adds to a verdict.

    Attributes:
        told: balanced accuracy with which the network's last features tell the data sets of benign pictures apart;
            chance is one over their number. None where there is only one, or no such features.
    """

    skins: tuple[SkinResult, ...] = ()
    moves: tuple[MoveResult, ...] = ()
    told: float | None = None

    @property
    def spread(self) -> float | None:
        """Between the highest and the lowest mean log-odds of benign skin without its lesion."""
        known = [one.log_odds_without_lesion for one in self.skins if one.log_odds_without_lesion is not None]
        return max(known) - min(known) if len(known) > 1 else None


@dataclass(frozen=True)
class HeatResult:
    """Where the heat maps of N pictures of one class with one verdict point.

    Attributes:
        outlines: whose the lesions' outlines are: `drawn` by people, or `found` by the app.
        silent: share in which nothing speaks for malignant; of the others, those with an outline are `outlined`.
        area: the lesion's mean share of what the network saw; chance would give so much for the next two.
        mass: mean share of what speaks for malignant that lies on the lesion.
        hottest: share of pictures whose hottest spot lies on the lesion.
    """

    outlines: str
    label: str
    verdict: str
    n: Count
    silent: Interval
    outlined: Count = 0
    area: Share | None = None
    mass: Share | None = None
    hottest: Interval | None = None


@dataclass(frozen=True)
class FaithfulnessResult:
    """Mean probability of malignancy while N pictures called malignant are blurred place by place (`deletion`), and
    while the same places alone are shown sharp (`insertion`), in the order of `order`."""

    order: str
    n: Count
    deletion: Share
    insertion: Share


@dataclass(frozen=True)
class Audit:
    """`audit.json`: everything found about a checkpoint, at one operating point.

    Attributes:
        pictures: how many were changed, spoilt and looked at in four turns; `subgroups`, `blind_roc_auc` and
            `referrals` are of the whole split.
        blind_roc_auc: what classifiers that see no lesion reach, by their names.
        untouched: what is held back of validation pictures as they are, by source.
        degradations: what spoiling the pictures does to the checks and to the model.
        planted: whether the reasons given for a spoilt picture are true.
        unrelated: pictures that show no lesion, by kind; empty where the checkpoint cannot tell.
        new_clinic: validation pictures of other data sets that pass where one alone is known, by source.
        referrals: the three zones at each operating point.
        coverage: scores of confidence compared.
        clinics: what the clinic adds; None where the audit was made before that was asked.
        heat: where the heat map points, by outlines, class and verdict; `faithfulness` says whether that counts.
        seconds: that all of it took; 0 where the file does not say.
    """

    __pydantic_config__ = LOOSE

    operating_point: OperatingPoint
    pictures: Count
    changes: tuple[ChangeResult, ...] = ()
    subgroups: tuple[Subgroup, ...] = ()
    blind_roc_auc: dict[str, ShareOrNan] = field(default_factory=dict)
    untouched: tuple[UntouchedResult, ...] = ()
    degradations: tuple[DegradationResult, ...] = ()
    planted: tuple[PlantedResult, ...] = ()
    unrelated: tuple[UnrelatedResult, ...] = ()
    new_clinic: tuple[NewClinicResult, ...] = ()
    referrals: tuple[ReferralResult, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    clinics: ClinicAudit | None = None
    heat: tuple[HeatResult, ...] = ()
    faithfulness: tuple[FaithfulnessResult, ...] = ()
    seconds: float = 0.0
