"""What to beware of, drawn from a model's own figures by fixed rules. A rule whose figures are missing says nothing."""

from __future__ import annotations

from collections.abc import Iterator

from lesion_demo.card.clinics import tested_on
from lesion_demo.card.folder import ModelFacts
from lesion_demo.card.phrases import (
    capital,
    clinic_name,
    complement,
    count,
    decimal,
    figures,
    point_name,
    ratio,
    result_name,
    share,
    source_name,
    subgroup_name,
)
from lesion_demo.decision import DEFAULT_OPERATING_POINT
from lesion_demo.results import Audit, Interval, Report, Subgroup
from lesion_demo.texts import Texts

CALIBRATION_LIMIT = 0.04
"""A calibration error above it is told: a probability is then off by four points on average."""
FLIP_LIMIT = 0.05
"""A change that turns more of the verdicts on a class is told: one in twenty, for no medical reason."""
NEAR_DUPLICATE_LIMIT = 0.003
"""ROC-AUC that may be lost without near-duplicates before part of the score has to be called memory."""
BLIND_LIMIT = 0.75
"""ROC-AUC of a classifier that sees no lesion, half way from chance to perfection; from there on it is told."""
SKIN_LIMIT = 0.6
"""ROC-AUC with the lesion covered, from which a data set is said to measure its clinics, too; chance is 0.5."""
FEW_IN_CLASS = 30
"""Below so many pictures of a class an interval of a rate near 80 % is wider than 28 points: too wide to judge by."""
FEW_OF_SOURCE = 500
"""A data set of fewer pictures leaves, at a validation share of a tenth, fewer than 50 to measure by."""
HELD_BACK = 0.95
"""Share of pictures that show no lesion, and of strongly spoilt ones, that ought to be refused, or warned about."""
STRONG = "strong"


def known_limits(facts: ModelFacts, texts: Texts) -> tuple[str, ...]:
    """One sentence for each limit, the most general first."""
    rules = (_prevalence, _test, _calibration, _near_duplicates, _sources)
    limits = [sentence for rule in rules for sentence in rule(facts, texts)]
    if (audit := facts.audit) is not None:
        limits += _subgroups(audit, facts.test, texts)
        of_audit = (_few, _changes, _blind, _covered, _unrelated, _spoilt)
        limits += [sentence for rule in of_audit for sentence in rule(audit, texts)]
    return tuple(limits)


def clearly_below(rate: Interval | None, reference: Interval | None) -> bool:
    """Does the whole interval of `rate` lie below the value of `reference`? No where either is unknown."""
    return rate is not None and reference is not None and rate.high < reference.value


def _prevalence(facts: ModelFacts, texts: Texts) -> Iterator[str]:
    yield texts.about.limits["prevalence"].format(prevalence=texts.percent(facts.meta.prevalence, 0))


def _test(facts: ModelFacts, texts: Texts) -> Iterator[str]:
    words = texts.about.limits
    if facts.test is None:
        yield words["no_test"]
    scores = tested_on(facts.sources, DEFAULT_OPERATING_POINT)
    if scores is None:
        return
    (least_sensitive, sensitivity), (least_specific, specificity) = scores.sensitivities[0], scores.specificities[0]
    yield words["misses"].format(
        point=point_name(DEFAULT_OPERATING_POINT, texts),
        missed=share(complement(sensitivity), texts),
        missed_source=clinic_name(least_sensitive.measured, texts),
        alarms=share(complement(specificity), texts),
        alarms_source=clinic_name(least_specific.measured, texts),
    )
    for clinic in scores.clinics:
        if clinic.flatters:
            yield words["seen"].format(
                source=clinic_name(clinic.measured, texts),
                seen=count(clinic.measured.result.seen_malignant, texts),
                pictures=count(clinic.n_malignant, texts),
            )


def _calibration(facts: ModelFacts, texts: Texts) -> Iterator[str]:
    """Of the full test only: validation by source has another prevalence, which alone moves the error."""
    if facts.test and facts.test.calibration_error > CALIBRATION_LIMIT:
        name = result_name("test", texts)
        yield texts.about.limits["calibration"].format(name=name, error=decimal(facts.test.calibration_error, texts))


def _near_duplicates(facts: ModelFacts, texts: Texts) -> Iterator[str]:
    distinct, overall = facts.metrics.test_without_near_duplicates, facts.test
    if distinct and overall and overall.roc_auc.value - distinct.roc_auc.value > NEAR_DUPLICATE_LIMIT:
        value, reference = ratio(distinct.roc_auc, texts), decimal(overall.roc_auc.value, texts)
        yield texts.about.limits["near_duplicates"].format(value=value, overall=reference)


def _sources(facts: ModelFacts, texts: Texts) -> Iterator[str]:
    words = texts.about.limits
    overall = facts.test.roc_auc if facts.test else None
    for source, result in facts.metrics.validation_by_source.items():
        if overall is not None and clearly_below(result.roc_auc, overall):
            yield words["source"].format(
                source=source_name(source, texts),
                value=ratio(result.roc_auc, texts),
                pictures=count(result.n, texts),
                overall=decimal(overall.value, texts),
            )
    for source, data in facts.meta.data.items():
        pictures = sum(data.counts.values())
        if pictures < FEW_OF_SOURCE:
            yield words["few_of_source"].format(source=source_name(source, texts), pictures=count(pictures, texts))


def _subgroups(audit: Audit, test: Report | None, texts: Texts) -> Iterator[str]:
    """Each figure of a subgroup that lies clearly below the same figure of all pictures; no figure twice."""
    name = audit.operating_point.name
    overall = next((one for one in audit.subgroups if one.name == "all"), None) or _as_subgroup(test, name)
    told = set()
    for subgroup in audit.subgroups if overall else ():
        for figure, pictures in (
            ("sensitivity", subgroup.n_malignant),
            ("specificity", subgroup.n_benign),
            ("roc_auc", subgroup.n_benign + subgroup.n_malignant),
        ):
            rate, reference = getattr(subgroup, figure), getattr(overall, figure)
            if not clearly_below(rate, reference) or (figure, rate, pictures) in told:
                continue
            told.add((figure, rate, pictures))
            whole = decimal(reference.value, texts) if figure == "roc_auc" else texts.percent(reference.value)
            yield texts.about.limits["subgroup_roc_auc" if figure == "roc_auc" else figure].format(
                subgroup=capital(subgroup_name(subgroup.name, texts)),
                value=next(figures(subgroup, [figure], texts)),
                overall=whole,
                point=point_name(name, texts),
                pictures=count(pictures, texts),
            )


def _as_subgroup(test: Report | None, point: str) -> Subgroup | None:
    """The test split as the audit's subgroups are: what they are compared with where it has none of all."""
    at_point = test.point(point) if test else None
    if test is None or at_point is None:
        return None
    benign = test.n - test.n_malignant
    return Subgroup("all", benign, test.n_malignant, at_point.sensitivity, at_point.specificity, test.roc_auc)


def _few(audit: Audit, texts: Texts) -> Iterator[str]:
    """The subgroups that no judgement can be based on."""
    few = [
        f"{subgroup_name(one.name, texts)} ({count(one.n_benign, texts)} + {count(one.n_malignant, texts)})"
        for one in audit.subgroups
        if _smallest_class(one) < FEW_IN_CLASS
    ]
    if few:
        yield texts.about.limits["few"].format(few=count(FEW_IN_CLASS, texts), subgroups="; ".join(few))


def _smallest_class(subgroup: Subgroup) -> int:
    """Pictures of the rarer class; a diagnosis has one class only."""
    counts = (subgroup.n_benign, subgroup.n_malignant)
    return max(counts) if subgroup.name.startswith("diagnosis ") else min(counts)


def _changes(audit: Audit, texts: Texts) -> Iterator[str]:
    """The changes that turn more verdicts on a class than FLIP_LIMIT, the worst first, in one sentence."""
    words, changed = texts.about.limits, []
    for change in audit.changes:
        by_class = (("change_benign", change.flips_benign), ("change_malignant", change.flips_malignant))
        beyond = [(flips.value, key, flips) for key, flips in by_class if flips and flips.value > FLIP_LIMIT]
        if beyond:
            worst, key, flips = max(beyond, key=lambda item: item[0])
            name = texts.about.changes.get(change.name, change.name)
            changed.append((worst, words[key].format(change=name, flips=share(flips, texts))))
    if changed:
        listed = "; ".join(text for _, text in sorted(changed, key=lambda pair: -pair[0]))
        yield words["change"].format(limit=texts.percent(FLIP_LIMIT, 0), changes=listed)


def _blind(audit: Audit, texts: Texts) -> Iterator[str]:
    """The best of the classifiers that see no lesion."""
    name, best = max(audit.blind_roc_auc.items(), key=lambda item: item[1], default=("", 0.0))
    if best >= BLIND_LIMIT:
        probe = texts.about.probes.get(name, name)
        yield texts.about.limits["blind"].format(probe=probe, value=decimal(best, texts))


def _covered(audit: Audit, texts: Texts) -> Iterator[str]:
    """What a data set measures beside the lesion."""
    for one in audit.clinics.skins if audit.clinics else ():
        if one.without_disc is not None and one.without_disc.low > SKIN_LIMIT:
            yield texts.about.limits["covered"].format(
                source=source_name(one.source, texts),
                value=ratio(one.without_disc, texts),
                whole=ratio(one.roc_auc, texts),
            )


def _unrelated(audit: Audit, texts: Texts) -> Iterator[str]:
    words = texts.about
    poor = [
        words.limits["unrelated_kind"].format(
            kind=words.unrelated.get(one.kind, one.kind), refused=share(one.refused, texts)
        )
        for one in audit.unrelated
        if one.refused.value < HELD_BACK
    ]
    if poor:
        yield words.limits["unrelated"].format(kinds=", ".join(poor))


def _spoilt(audit: Audit, texts: Texts) -> Iterator[str]:
    words = texts.about
    poor = [
        words.limits["spoilt_by"].format(
            degradation=words.degradations.get(one.name, one.name), warned=share(one.warned, texts)
        )
        for one in audit.degradations
        if one.level == STRONG and one.warned.value < HELD_BACK
    ]
    if poor:
        yield words.limits["spoilt"].format(degradations=", ".join(poor))
