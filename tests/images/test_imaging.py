"""The lit field, rings, and the two transforms."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import RandomResizedCrop, v2

from lesion_demo.config import AugmentConfig, PreprocessSpec
from lesion_demo.images import field_of_view, transforms
from lesion_demo.images.field_of_view import Box, find_field_of_view
from lesion_demo.images.look import Look
from lesion_demo.images.perturb import draw_random_artefact, draw_random_ring, draw_ring
from lesion_demo.images.phantom import render_phantom
from lesion_demo.images.transforms import (
    TO_LUMA,
    cast_colour,
    cropped_and_turned,
    eval_transform,
    expose,
    jitter_colours,
    train_transform,
)

SPEC = PreprocessSpec(image_size=96)
PROBABILITIES = [f.name for f in fields(AugmentConfig) if not f.name.startswith(("crop_", "rotation_"))]
OFF = AugmentConfig(**dict.fromkeys(PROBABILITIES, 0.0))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return render_phantom(1, malignant=False, size=300)


def test_a_plain_picture_is_left_whole(picture: np.ndarray) -> None:
    assert find_field_of_view(picture) == Box(0, 0, 300, 300)


@pytest.mark.parametrize("radius", [0.4, 0.5, 0.6])
def test_a_ring_is_cut_away_with_its_corners(picture: np.ndarray, radius: float) -> None:
    ringed = draw_ring(picture, radius=radius, centre=(0.52, 0.48))
    box = find_field_of_view(ringed)
    inscribed = 2 * radius / np.sqrt(2) * 300
    assert abs(box.width - inscribed) < 30
    assert abs(box.height - inscribed) < 30
    crop = box.cut(ringed)
    assert (crop.max(axis=2) < 20).mean() < 0.01


def test_a_ring_of_any_aspect_in_any_picture_shape(picture: np.ndarray) -> None:
    wide = np.hstack([picture, picture])
    box = find_field_of_view(draw_ring(wide, radius=0.45))
    assert 150 < (box.left + box.right) / 2 < 450
    assert box.width < 350


def test_a_dark_lesion_in_one_corner_is_no_ring(picture: np.ndarray) -> None:
    dark = picture.copy()
    dark[:80, :80] = 5
    assert find_field_of_view(dark) == Box(0, 0, 300, 300)


def test_grey_light_makes_pictures_of_two_lamps_alike(picture: np.ndarray) -> None:
    cast = np.clip(picture * np.array([0.95, 0.8, 0.7]), 0, 255).astype(np.uint8)
    for make in (eval_transform, lambda spec: train_transform(spec, OFF)):
        plain, grey = (make(replace(SPEC, grey_light=on)) for on in (False, True))
        apart, together = ((f(picture) - f(cast)).mean(dim=(1, 2)) for f in (plain, grey))  # [3]
        assert float(together.std()) < 0.05 * float(apart.std())  # the lamps' brightness is left, their colour is not


def test_blackness_is_no_ring() -> None:
    assert find_field_of_view(np.zeros((200, 300, 3), np.uint8)) == Box(0, 0, 300, 200)


def test_random_rings_differ_and_leave_a_view(picture: np.ndarray) -> None:
    rings = [draw_random_ring(picture, np.random.default_rng(seed)) for seed in range(40)]
    changed = [float((ring != picture).any(axis=2).mean()) for ring in rings]
    assert min(changed) < 0.2
    assert max(changed) > 0.4
    assert np.std(changed) > 0.05
    again = draw_random_ring(picture, np.random.default_rng(0))
    assert np.array_equal(rings[0], again)


def test_small_fields_are_drawn_more_often_than_large_ones() -> None:
    white = np.full((64, 64, 3), 255, dtype=np.uint8)
    lit = [float((draw_random_ring(white, np.random.default_rng(seed)) > 127).mean()) for seed in range(400)]
    small = np.pi * 0.42**2  # a quarter of the radii between the smallest and the largest are below this one
    assert 0.37 < np.mean(np.array(lit) < small) < 0.51


def test_random_artefacts_are_of_every_kind_and_leave_most_of_the_picture(picture: np.ndarray) -> None:
    drawn = [draw_random_artefact(picture, np.random.default_rng(seed)) for seed in range(60)]
    changed = [(np.abs(one.astype(int) - picture) > 12).any(axis=2) for one in drawn]
    assert all(0.0005 < mask.mean() < 0.45 for mask in changed)
    barred = [one for one in drawn if not one[0].any() and not one[-1].any()]
    inked = [one for one in drawn if (np.abs(one.astype(int) - (92, 60, 140)).max(axis=2) < 4).sum() > 20]
    assert len(barred) >= 2
    assert len(inked) >= 2
    assert len(barred) + len(inked) < 30
    assert np.array_equal(drawn[0], draw_random_artefact(picture, np.random.default_rng(0)))


def test_eval_transform_normalises_the_visible_square() -> None:
    grey = np.full((200, 400, 3), 128, np.uint8)
    output = eval_transform(SPEC)(grey)
    expected = (128 / 255 - torch.tensor(SPEC.mean)) / torch.tensor(SPEC.std)
    assert output.shape == (3, 96, 96)
    assert output.dtype == torch.float32
    assert torch.allclose(output.mean(dim=(1, 2)), expected, atol=1e-4)
    assert Look.of(grey).visible(SPEC).corner_and_size == (100, 0, 200, 200)


def test_the_ring_hardly_changes_what_the_network_sees(picture: np.ndarray) -> None:
    transform = eval_transform(SPEC)
    ringed = transform(draw_ring(picture, radius=0.6))
    uncropped = eval_transform(replace(SPEC, crop_field_of_view=False))(draw_ring(picture, radius=0.6))
    plain = transform(picture)
    corner = (slice(None), slice(0, 10), slice(0, 10))
    assert (ringed[corner] - plain[corner]).abs().mean() < 0.5
    assert (uncropped[corner] - plain[corner]).abs().mean() > 1.5


def test_everything_off_is_the_eval_transform(picture: np.ndarray) -> None:
    torch.testing.assert_close(train_transform(SPEC, OFF)(picture), eval_transform(SPEC)(picture))


@pytest.mark.parametrize("name", PROBABILITIES)
def test_every_step_can_be_switched_on_alone(picture: np.ndarray, name: str) -> None:
    transform = train_transform(SPEC, replace(OFF, **{name: 1.0}))  # type: ignore[arg-type]
    plain = eval_transform(SPEC)(picture)
    torch.manual_seed(3)
    outputs = [transform(picture) for _ in range(4)]
    assert all(output.shape == plain.shape for output in outputs)
    assert any(not torch.equal(output, plain) for output in outputs)
    torch.manual_seed(3)
    assert torch.equal(transform(picture), outputs[0])


def test_turning_leaves_no_black_corners(picture: np.ndarray) -> None:
    transform = train_transform(SPEC, replace(OFF, rotation=1.0, perspective=1.0))
    darkest = eval_transform(SPEC)(picture).min()
    torch.manual_seed(0)
    assert all(transform(picture).min() > darkest - 0.3 for _ in range(20))


def test_a_drawn_colour_cast_keeps_the_light_and_stays_within_its_ratio() -> None:
    grey = np.full((8, 8, 3), 100, np.uint8)
    torch.manual_seed(0)
    gains = torch.tensor(np.array([cast_colour(grey, most=2.0)[0, 0] for _ in range(300)])) / 100.0  # [300, 3]
    ratios = gains.max(dim=1).values / gains.min(dim=1).values
    assert 1.7 < ratios.max() < 2.05
    assert ratios.min() < 1.1
    assert torch.allclose(gains.prod(dim=1), torch.ones(300), atol=0.04)
    assert {int(channel) for channel in gains.argmax(dim=1)} == {0, 1, 2}


def test_drawn_exposure_darkens_or_clips() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 256, 3)
    torch.manual_seed(0)
    seen = [torch.tensor(expose(ramp, least=0.4, most=1.8))[0, :, 0].float() for _ in range(100)]
    gains = torch.tensor([float(one[100]) / 100 for one in seen])
    assert gains.min() == pytest.approx(0.4, abs=0.05)
    assert gains.max() == pytest.approx(1.8, abs=0.08)
    assert max(int((one == 255).sum()) for one in seen) > 90  # of 256: clipped, not wrapped around
    assert all((one.diff() >= 0).all() for one in seen)


def test_colours_are_jittered_as_torchvision_does_it_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """To three values of 255, which torchvision rounds down after each step; the hue turns as far, at the same luma."""
    pixels = 60 + render_phantom(3, malignant=True, size=64) // 3
    skin = Image.fromarray(pixels)
    draws = iter([0.8, 0.2, 0.9, 0.5])  # of 0.7 to 1.3, and no turn of the hue
    monkeypatch.setattr(torch, "rand", lambda _: torch.tensor(next(draws)))
    expected = v2.functional.adjust_brightness(skin, 1.18)
    expected = v2.functional.adjust_saturation(v2.functional.adjust_contrast(expected, 0.82), 1.24)
    assert np.abs(jitter_colours(pixels).astype(float) - np.asarray(expected)).max() <= 3
    draws = iter([0.5, 0.5, 0.5, 1.0])
    turned, plain = jitter_colours(pixels).astype(float), pixels.astype(float)
    hue = np.asarray(v2.functional.adjust_hue(skin, 0.04), float)
    assert np.abs((turned - plain) @ TO_LUMA[0]).max() <= 1
    chroma = [np.arctan2(*(one.mean(axis=(0, 1)) @ TO_LUMA[1:].T)) for one in (plain, hue, turned)]
    assert chroma[2] - chroma[0] == pytest.approx(chroma[1] - chroma[0], abs=0.07)


def test_a_quarter_turn_is_that_of_the_picture(picture: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transforms, "_uniform", lambda low, high: high)
    turned = cropped_and_turned(picture, replace(OFF, rotation=1.0, rotation_degrees=90.0), 300)
    assert np.abs(turned.astype(float) - np.rot90(picture, -1)).max() <= 1


def test_a_mirrored_picture_is_that_of_the_picture(picture: np.ndarray) -> None:
    for name, axis in (("horizontal_flip", 1), ("vertical_flip", 0)):
        mirrored = cropped_and_turned(picture, replace(OFF, **{name: 1.0}), 300)  # type: ignore[arg-type]
        np.testing.assert_array_equal(mirrored, np.flip(picture, axis))


@pytest.mark.parametrize("size", [300, 1200])
def test_a_crop_is_what_torchvision_cuts_out_and_scales(size: int) -> None:
    """Whether it is read by one warp, or scaled down first, and mirrored or not."""
    whole = render_phantom(4, malignant=True, size=size)
    augment = replace(OFF, crop=1.0, crop_scale=(0.4, 0.6), crop_ratio=(0.72, 1.39), horizontal_flip=1.0)
    for seed in range(4):
        torch.manual_seed(seed)
        seen = cropped_and_turned(whole, augment, 200).astype(float)
        torch.manual_seed(seed)
        torch.rand(())  # whether there is a crop
        place = RandomResizedCrop.get_params(Image.fromarray(whole), augment.crop_scale, augment.crop_ratio)
        cut = v2.functional.resized_crop(Image.fromarray(whole), *place, [200, 200])
        expected = np.asarray(v2.functional.horizontal_flip(cut), float)
        assert np.abs(seen - expected).mean() < 1.5
        assert np.abs(seen - expected[::, ::-1]).mean() > 4


def test_a_view_from_one_side_shows_no_more_than_the_margin_around_the_crop() -> None:
    torch.manual_seed(0)
    corners = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]]).T
    for _ in range(50):
        x, y, scale = transforms._side_view() @ corners
        reach = np.abs(np.stack([x / scale, y / scale])).max(axis=0)
        assert (reach <= 1 + 2 * transforms.MARGIN).all()
        assert reach.max() > 1, "it is not seen from further away"


def test_bright_corners_are_told_without_a_thumbnail_and_no_field_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Around the limit between dark and lit, in all sizes: the short cut is taken only where it cannot matter."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(150):
        height, width = (int(side) for side in rng.integers(24, 700, 2))
        picture = rng.integers(33, 60, (height, width, 3)).astype(np.uint8)
        picture[height // 3 : -height // 3, width // 3 : -width // 3] = 255  # so bright that 30 is dark
        for corner in range(4):
            high, broad = (max(1, int(rng.uniform(0.02, 0.3) * side)) for side in (height, width))
            patch = np.rot90(picture, 2 * (corner // 2))[:, :: 1 - 2 * (corner % 2)][:high, :broad]
            patch[:] = rng.integers(0, 64)
        pictures.append(picture)
    taken = [field_of_view._corners_are_bright(picture) for picture in pictures]
    assert 5 < sum(taken) < 145
    found = [find_field_of_view(picture) for picture in pictures]
    monkeypatch.setattr(field_of_view, "_corners_are_bright", lambda picture: False)
    assert found == [find_field_of_view(picture) for picture in pictures]


ROUND = replace(SPEC, round_window=True)


def test_a_round_window_shows_the_same_with_a_ring_and_without() -> None:
    picture = render_phantom(2, malignant=False, size=300, hair=False)
    plain, square = eval_transform(ROUND)(picture), eval_transform(SPEC)(picture)
    ringed = draw_ring(picture, radius=0.49, softness=0.01)
    through_window = (eval_transform(ROUND)(ringed) - plain).abs().mean()
    cut_square = (eval_transform(SPEC)(ringed) - square).abs().mean()
    assert through_window < 0.3 * cut_square
    side = plain.shape[-1]
    corner = plain[:, : side // 8, : side // 8]
    assert torch.equal(corner, torch.zeros_like(corner))
    assert torch.equal(plain[:, side // 2, 2:-2], square[:, side // 2, 2:-2])


def test_the_round_field_is_as_wide_as_its_ring() -> None:
    picture = render_phantom(2, malignant=False, size=300, hair=False)
    look = Look.of(draw_ring(picture, radius=0.38))
    box = look.shown(ROUND)
    assert box.width == pytest.approx(2 * 0.38 * 300, rel=0.08)
    assert box.height == pytest.approx(2 * 0.38 * 300, rel=0.08)
    assert Look.of(picture).shown(ROUND) == Box(0, 0, 300, 300)
    assert look.visible(ROUND).width == look.visible(ROUND).height == min(box.width, box.height)


def test_training_pictures_are_seen_through_the_same_window() -> None:
    picture = render_phantom(2, malignant=False, size=300)
    torch.manual_seed(0)
    augmented = train_transform(ROUND, AugmentConfig())(picture)
    assert not augmented[:, 0, 0].any()
    assert augmented[:, augmented.shape[-1] // 2, augmented.shape[-1] // 2].any()
