"""The runs: each differs from the plain one in one thing."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Experiment:
    """What is done to pictures, to their weights and to the loss; everything off is the plain run.

    Attributes:
        title: as the table has it.
        looks: classes are drawn alike within each of LOOKS clusters of early features, clusters by the square root
            of their rarer class.
        transplant: share of pictures whose lesion is put onto the skin of a picture from another data set.
        painted: share of pictures whose lesion is painted out; their target is one half.
        recolour: share of pictures whose skin takes the colour of another data set's picture.
        grey: share of pictures whose light is made grey.
        even_light: light is made grey in every picture, in use too.
        crop: the network sees a square about the lesion, in use too.
        diagnoses: weight of the loss of a second head that learns the diagnosis, where one is known.
        risk_variance: weight of the variance of the risks of looks (V-REx, Krueger et al. 2021, arXiv 2003.00688).
        worst_group: step of group distributionally robust optimisation over looks and classes (Sagawa et al. 2020,
            arXiv 1911.08731); 0 takes the plain mean.
        outside: weight of the share of what speaks for either class that lies outside the widened lesion, in the last
            maps and, as gradient × activation, at stride 16 (after Ross et al. 2017, arXiv 1703.03717).
        consistency: weight of the Jensen-Shannon divergence between two variants of one picture, in other skin colours
            (as in Hendrycks et al. 2020, arXiv 1912.02781); half as many pictures are drawn then.
    """

    title: str
    looks: bool = False
    transplant: float = 0.0
    painted: float = 0.0
    recolour: float = 0.0
    grey: float = 0.0
    even_light: bool = False
    crop: bool = False
    diagnoses: float = 0.0
    risk_variance: float = 0.0
    worst_group: float = 0.0
    outside: float = 0.0
    consistency: float = 0.0


PLAIN = Experiment("plain")
EXPERIMENTS = {
    "plain": PLAIN,
    "looks": replace(PLAIN, title="classes alike within looks", looks=True),
    "recolour": replace(PLAIN, title="skin colours exchanged between data sets", recolour=0.5, grey=0.15),
    "transplant": replace(
        PLAIN, title="lesions on other data sets' skin, some painted out", transplant=0.4, painted=0.1
    ),
    "crop": replace(PLAIN, title="a crop about the lesion, in use too", crop=True),
    "even_light": replace(PLAIN, title="light made grey, in use too", even_light=True),
    "diagnoses": replace(PLAIN, title="diagnoses learnt beside", diagnoses=0.5),
    "risk_variance": replace(PLAIN, title="variance of risks punished", risk_variance=1.0),
    "worst_group": replace(PLAIN, title="worst group of looks and classes first", worst_group=0.02),
    "outside": replace(PLAIN, title="what speaks outside the lesion punished", outside=1.0),
    "consistency": replace(PLAIN, title="two skin colours, one answer", recolour=0.5, grey=0.15, consistency=12.0),
    "even_consistency": replace(
        PLAIN, title="grey light, two skin colours, one answer", even_light=True, recolour=0.5, consistency=12.0
    ),
    "together": replace(
        PLAIN, title="light made grey, diagnoses, lesions on other skin", even_light=True, diagnoses=0.5, transplant=0.4
    ),
}
"""By the name of their folder."""
