"""The typology angle: known colours, lighter skin gives a greater angle, and neither ring nor lesion moves it much."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image, ImageCms

from lesion_demo.images.perturb import draw_ring
from lesion_demo.images.tone import tone_of, typology_angle


def flat(*rgb: int) -> np.ndarray:
    return np.tile(np.array(rgb, dtype=np.uint8), (90, 120, 1))


@pytest.mark.parametrize("rgb", [(240, 205, 184), (178, 116, 86), (92, 54, 42)])
def test_angle_agrees_with_littlecms(rgb: tuple[int, int, int]) -> None:
    profiles = (ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"))
    converted = ImageCms.applyTransform(Image.new("RGB", (1, 1), rgb), ImageCms.buildTransform(*profiles, "RGB", "LAB"))
    assert converted is not None
    lightness, _, yellow = converted.getpixel((0, 0))  # type: ignore[misc]
    expected = math.degrees(math.atan2(lightness / 2.55 - 50, yellow - 128))
    assert typology_angle(flat(*rgb)) == pytest.approx(expected, abs=2.5)  # bytes, and another white point


def test_names_go_by_the_angle() -> None:
    assert [tone_of(angle) for angle in (60, 55, 30, 11, 0, -30, -40)] == [
        "very light", "light", "intermediate", "tan", "brown", "dark", "dark",
    ]  # fmt: skip


def test_lesion_and_ring_are_not_taken_for_skin() -> None:
    skin = flat(240, 205, 184)
    lesion = skin.copy()
    lesion[30:60, 40:80] = (70, 45, 40)
    assert typology_angle(lesion) == pytest.approx(typology_angle(skin), abs=0.5)
    assert typology_angle(draw_ring(lesion, radius=0.45)) == pytest.approx(typology_angle(skin), abs=2)
