"""Is a picture good enough to be judged? Light, contrast, sharpness, glare, colour, compression, size and framing.

A warning is advice to the person with the camera; only what is severe, a picture that shows nothing, is not judged.

The limits were chosen on 440 train pictures (220 of melanoma10k, 160 of HAM10000, 60 of PAD-UFES-20) and on all 1,707
validation pictures (954, 708 and 45). Of the latter, 34 (2.0 %; 3.1 %, 0.4 % and 2.2 %) are warned about as they are,
and none is severe. The rates beside the limits are of validation pictures: false alarms among the 1,707, and right
warnings by this one check of 214 copies (120, 88 and 6) spoilt by `images.perturb`. Of the 2,126 validation pictures
that `checkpoints/clinics` has of the same data sets, 56 (2.6 %) are warned about and one is not judged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lesion_demo.images import Pixels, measurements
from lesion_demo.images.look import Look
from lesion_demo.images.measurements import WORKING_SIDE as WORKING_SIDE
from lesion_demo.images.measurements import glare as glare
from lesion_demo.images.measurements import sharpness as sharpness

OK, WARNING, SEVERE = "ok", "warning", "severe"


@dataclass(frozen=True)
class Limits:
    """Beyond `warning` a picture is warned about, beyond `severe` it is too poor to be judged."""

    warning: float
    severe: float


BRIGHTNESS = Limits(80.0, 30.0)
"""Mean luminance (0–255). 6 false alarms; 100 % at a quarter of the light, 63 % at gamma 3."""
USUAL_BRIGHTNESS = 150.0
"""About the median of the train pictures."""
SHADOWS = Limits(1.16, 2.1)
"""See `optical_density`. 8 false alarms; 100 % at a quarter of the light, 71 % at gamma 3.

At gamma 3 `brightness`, `shadows` and `colour` together warn of 77 %, not of 95 %: copies of pale pictures have the
light, the depth and the colours of ordinary ones. Even a logistic regression on 16 measurements of light, contrast and
colour found only 88 % of copies of train pictures at 0.7 % false alarms."""
OVEREXPOSURE = Limits(230.0, 245.0)
"""Mean luminance (0–255). 3 false alarms; with `glare` 98 % of copies at 2.5 times the light."""
GLARE = Limits(0.178, 0.6)
"""Share (0–1) of pixels that are white. 7 false alarms; 97 % of copies with reflections on 30 % of the area."""
COLOUR = Limits(4.2, math.inf)
"""See `colour_distance`. 4 false alarms; 85 % of colour casts of 2.5, because skin and lamps differ that much: 95 %
would take a limit of 3.2, and 23 false alarms more."""
CONTRAST = Limits(70.0, 20.0)
"""Values of 255, see `contrast`; of a dark picture, brought up to ordinary light. On 400 train pictures (200 each of
melanoma10k and HAM10000) 0.8 % are warned about as they are, and 96 % of copies with three tenths of their contrast.

Over the whole picture: a limit on the contrast between lesion and skin, at the same false alarms, found 16 % of copies
with a quarter at most, because pale lesions have as little as they are."""
SHARPNESS = Limits(0.009, 0.003)
"""See `sharpness`. 2 false alarms; 99 % of copies with a Gaussian blur of σ = 4 px at 256 px, about half at 2 px."""
MOTION = Limits(0.00265, 0.0002)
"""See `least_directional_sharpness`. 6 false alarms; 98 % of copies moved by 16 px at 256 px: 98 % of
melanoma10k, 99 % of HAM10000, five of six phone photographs. `sharpness` finds 40 %."""
COMPRESSION = Limits(2.55, math.inf)
"""See `blockiness`. 3 false alarms, though all are JPEG files; 98 % at quality 10."""
SIZE = Limits(120, 48)
"""Pixels of the lit field's shorter side, a convention. No false alarm; all copies of 100 px."""
FRAMING = Limits(0.01, 0.0)
"""Share (0–1) of the lit field's middle square that is lesion. No false alarm; two thirds of lesions pasted small, at
0.6 % of the area. None on a lesion that is cut off: those that reach the edge are as often whole pictures of large
ones."""

EXPLAINED_BY = {"sharpness": ("size",), "motion": ("size", "sharpness")}
"""What may fail because something else does, and then adds nothing to it: a tiny picture has no fine details, and one
out of focus has none in any direction."""


@dataclass(frozen=True)
class QualityCheck:
    """One measurement of a picture against its limit.

    Attributes:
        name: `brightness`, `shadows`, `overexposure`, `contrast`, `sharpness`, `motion`, `glare`, `colour`,
            `compression`, `size` or `framing`.
        value, limit: in `unit`.
        severity: `ok` where the value is on the good side of the limit, or on it; `warning`, or `severe` where the
            picture is too poor to be judged.
        advice: what to do if it is not ok; one sentence.
        is_lower_bound: is it good to lie above the limit? Otherwise below.
    """

    name: str
    value: float
    limit: float
    unit: str
    severity: str
    advice: str
    is_lower_bound: bool

    @property
    def passed(self) -> bool:
        return self.severity == OK


@dataclass(frozen=True)
class QualityReport:
    """Every check of one picture, passed or not."""

    checks: tuple[QualityCheck, ...]

    @property
    def warnings(self) -> tuple[QualityCheck, ...]:
        """The checks that failed, each once: without what another failed check is the reason for."""
        failed = {check.name: check for check in self.checks if not check.passed}
        return tuple(
            check
            for check in failed.values()
            if not any(
                failed[reason].severity in (check.severity, SEVERE)
                for reason in EXPLAINED_BY.get(check.name, ())
                if reason in failed
            )
        )

    @property
    def ok(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def lesion_stands_out(self) -> bool:
        """Was there a lesion whose size could be measured?"""
        return any(check.name == "framing" for check in self.checks)

    @property
    def assessable(self) -> bool:
        """Is the picture good enough to be judged at all?"""
        return all(check.severity != SEVERE for check in self.checks)


def check_quality(picture: Pixels | Look) -> QualityReport:
    """Every check of `picture`, uint8 [H, W, 3] RGB or a look at it; `framing` only where a lesion stands out.

    About 40 ms on one core for 12 megapixels, because most pixels are left out first.
    """
    look = Look.of(picture)
    pixels = measurements.working_copy(look.field_in(look.thinned))
    field = look.in_whole(look.field)
    size = min(field.width, field.height)
    return QualityReport(
        (
            *_light(pixels),
            *_detail(pixels),
            _at_most(
                "compression", measurements.blockiness(look.inside), COMPRESSION, "", "Use a less compressed file."
            ),
            _at_least("size", size, SIZE, "px", "Too small: move closer."),
            *_framing(look),
        )
    )


def _light(pixels: Pixels) -> tuple[QualityCheck, ...]:
    """Too little light, too much, glare and a wrong colour, of a working copy uint8 [h, w, 3]."""
    grey = measurements.luminance(pixels)
    brightness, density = float(grey.mean()), measurements.optical_density(pixels)
    colour = measurements.colour_distance(pixels, grey)
    return (
        _at_least("brightness", brightness, BRIGHTNESS, "of 255", "Too dark: use more light."),
        _at_most("shadows", density, SHADOWS, "", "Lost in the dark: use more light, evenly."),
        _at_most("overexposure", brightness, OVEREXPOSURE, "of 255", "Too bright: use less light or exposure."),
        _at_most("glare", glare(pixels), GLARE, "share", "Glare: tilt the light, or use gel or polarisation."),
        _at_most("colour", colour, COLOUR, "SD", "Unusual colours: use white light, set the white balance."),
    )


def _detail(pixels: Pixels) -> tuple[QualityCheck, ...]:
    """Contrast and sharpness of a working copy uint8 [h, w, 3]."""
    grey = measurements.luminance(pixels)
    brightness = max(1.0, float(grey.mean()))
    gain = USUAL_BRIGHTNESS / brightness if brightness < BRIGHTNESS.warning else 1.0  # dark is not flat as well
    contrast = min(255.0, measurements.contrast(pixels) * gain)
    flatness = max(1.0, CONTRAST.warning / max(contrast, 1.0))  # and flat is not blurred
    sharp = flatness * sharpness(grey)
    motion = flatness * measurements.least_directional_sharpness(grey)
    return (
        _at_least("contrast", contrast, CONTRAST, "of 255", "Too flat: clean the lens."),
        _at_least("sharpness", sharp, SHARPNESS, "", "Blurred: hold still, focus on the lesion."),
        _at_least("motion", motion, MOTION, "", "Blurred in one direction or all: hold still."),
    )


def _framing(look: Look) -> tuple[QualityCheck, ...]:
    if look.lesion is None:
        return ()
    return (
        _at_least(
            "framing", float(look.lesion.mean()), FRAMING, "share", "The lesion is small in the picture: move closer."
        ),
    )


def _at_least(name: str, value: float, limits: Limits, unit: str, advice: str) -> QualityCheck:
    severity = OK if value >= limits.warning else WARNING if value >= limits.severe else SEVERE
    return QualityCheck(name, float(value), limits.warning, unit, severity, advice, is_lower_bound=True)


def _at_most(name: str, value: float, limits: Limits, unit: str, advice: str) -> QualityCheck:
    severity = OK if value <= limits.warning else WARNING if value <= limits.severe else SEVERE
    return QualityCheck(name, float(value), limits.warning, unit, severity, advice, is_lower_bound=False)
