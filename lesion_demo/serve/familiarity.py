"""Is a picture like those that the model has learnt from?"""

from __future__ import annotations

from dataclasses import dataclass


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
