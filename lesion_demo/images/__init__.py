"""Pictures: reading them, looking at them once, preparing them for a network, judging their quality."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""A picture's RGB values, uint8 [H, W, 3]; `Picture` is the record of a file."""
