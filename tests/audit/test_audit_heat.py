"""What an audit says of the heat map: does it point to the lesion, and does what it points to count?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from lesion_demo.audit.heat import Explained, explain_all, faithfulness, mask_file, where_it_points
from lesion_demo.card import ModelFacts
from lesion_demo.card.trust import trust_sections
from lesion_demo.checkpoint import Checkpoint, LoadedCheckpoint
from lesion_demo.config import OperatingPoint, PreprocessSpec, from_dict
from lesion_demo.data.dataset import PictureReader
from lesion_demo.data.picture import Picture
from lesion_demo.decision import Outcome
from lesion_demo.network.model import build_model, head_layer
from lesion_demo.results import Audit, Metrics, to_json
from lesion_demo.serve.explanation import HeatMap
from lesion_demo.texts import load_texts

POINT = OperatingPoint("balanced", 0.5)
SPEC = PreprocessSpec(image_size=64)


def heat_at(row: int, column: int, strength: float = 5.0) -> HeatMap:
    values = np.full((8, 8), -0.1, np.float32)
    values[row, column] = strength
    return HeatMap(values, np.ones((8, 8), bool), 0.0, 0.0)


def explained(heat: HeatMap, label: int = 1, verdict: Outcome = Outcome.MALIGNANT, *, drawn: bool = True) -> Explained:
    outline = np.zeros((8, 8), bool)
    outline[:4, :4] = True
    return Explained(label, verdict, None, heat, outline, drawn)


def test_where_the_heat_points_by_class_and_verdict() -> None:
    on, off, nothing = heat_at(1, 1), heat_at(6, 6), heat_at(1, 1, 0.0)
    found = where_it_points(
        [
            *(explained(heat) for heat in (on, on, off, nothing)),
            replace(explained(on), outline=None),
            explained(nothing, 0, Outcome.BENIGN),
            explained(off, drawn=False),
        ]
    )
    assert [(one.outlines, one.label, one.verdict, one.n) for one in found] == [
        ("drawn", "benign", "benign", 1),
        ("drawn", "malignant", "malignant", 5),
        ("found", "malignant", "malignant", 1),
    ]
    benign, malignant, ours = found
    assert (benign.silent.value, benign.outlined, benign.hottest) == (1.0, 0, None)
    assert malignant.silent.value == pytest.approx(0.2)
    assert malignant.outlined == 3, "neither one without an outline nor one that points nowhere"
    assert malignant.hottest is not None
    assert malignant.hottest.value == pytest.approx(2 / 3)
    assert malignant.mass == pytest.approx(2 / 3)
    assert malignant.area == pytest.approx(0.25)
    assert ours.hottest is not None
    assert ours.hottest.value == 0


class Sharp(nn.Module):
    """Channel 0 of each place is the sharp detail there: a network that looks at nothing else."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        detail = (pixels - nn.functional.avg_pool2d(pixels, 5, 1, 2)).abs().mean(1, keepdim=True)
        return nn.functional.avg_pool2d(detail, 8) * torch.tensor([1.0] + [0.0] * 511)[:, None, None]


def checkpoint() -> LoadedCheckpoint:
    """A resnet whose blocks are replaced, so that its heat map is known to be the truth."""
    model = build_model("resnet18", dropout=0.0)
    for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3"):
        setattr(model, name, nn.Identity())
    model.layer4 = Sharp()
    with torch.no_grad():
        head_layer(model).weight[:], head_layer(model).bias[:] = 0, 0
        head_layer(model).weight[1, 0], head_layer(model).bias[1] = 30.0, -1.0
    meta = Checkpoint("resnet18", SPEC, 1.0, (POINT,), 0.9)
    return LoadedCheckpoint(Path("a-checkpoint"), meta, model.eval())


def test_a_faithful_map_beats_the_middle_and_chance(tmp_path: Path) -> None:
    """Detail lies in a corner, and the network sees it alone: so does its map."""
    root = tmp_path / "set" / "test" / "malignant"
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(3):
        pixels = np.full((64, 64, 3), 128, np.uint8)
        pixels[:24, :24] = rng.integers(0, 255, (24, 24, 3))
        Image.fromarray(pixels).save(root / f"{number}.png")
    pictures = [
        Picture(file, f"test/malignant/{file.name}", "set", "test", label=1) for file in sorted(root.glob("*.png"))
    ]
    loaded = checkpoint()
    masks = tmp_path / "set" / "masks"
    masks.mkdir()
    outline = np.zeros((64, 64), np.uint8)
    outline[:24, :24] = 255
    Image.fromarray(outline).save(masks / "0.png")
    assert [mask_file(picture).is_file() for picture in pictures] == [True, False, False]
    seen = list(explain_all(loaded, pictures, PictureReader(), POINT))
    assert {one.verdict for one in seen} == {Outcome.MALIGNANT}
    assert seen[0].drawn
    assert seen[0].heat.mass_on(outline > 0) == pytest.approx(1, abs=0.15)
    by_order = {one.order: one for one in faithfulness(loaded, seen)}
    heat, others = by_order["heat map"], [by_order["middle first"], by_order["random"]]
    assert heat.n == 3
    assert all(heat.deletion < other.deletion - 0.1 for other in others)
    assert all(heat.insertion > other.insertion + 0.1 for other in others)


def test_the_card_shows_it_and_reads_audits_without_it() -> None:
    texts = load_texts("en")
    found = where_it_points([explained(heat_at(1, 1)), explained(heat_at(1, 1, 0.0), 0, Outcome.BENIGN)])
    audit = from_dict(Audit, to_json(Audit(POINT, 2, heat=tuple(found))))
    assert audit.heat == tuple(found)
    meta = checkpoint().meta

    def section(audit: Audit) -> str:
        facts = ModelFacts("a", meta, Metrics(), audit, None, None, {}, ())
        return str(next(one for one in trust_sections(facts, texts) if one.name == "heat"))

    assert texts.about.heat_groups["malignant, malignant"] in section(audit)
    assert texts.about.unknown in section(Audit(POINT, 2))
