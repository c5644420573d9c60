"""Is a picture like those that the model has learnt from?"""

from __future__ import annotations

from dataclasses import dataclass

from lesion_demo.images.quality import QualityReport


@dataclass(frozen=True)
class Familiarity:
    """How far a picture lies from what the model knows.

    Attributes:
        distance: 0 or more; the larger, the less familiar.
        limit: up to here a picture is familiar.
        photograph: was it, by its looks, taken without a dermatoscope?
        bare_skin: does it show, by its looks, skin without a lesion?
    """

    distance: float
    limit: float
    photograph: bool = False
    bare_skin: bool = False

    @property
    def familiar(self) -> bool:
        """Is it a picture of a lesion like those that the model knows? Any other gets no verdict."""
        return self.distance <= self.limit and not self.bare_skin


def shows_bare_skin(familiarity: Familiarity, quality: QualityReport) -> bool:
    """May a reader be told that no lesion stands out?

    Only of a sound picture in which none does by its outline either: a blurred or flat picture of a lesion has the
    early features of skin, too, and what it lacks is then sharpness or contrast.
    """
    return familiarity.bare_skin and quality.ok and not quality.lesion_stands_out
