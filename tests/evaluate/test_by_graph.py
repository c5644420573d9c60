"""Evaluation on a CPU runs the checkpoint's graph, and comes to the same figures as PyTorch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.data.folders import scan
from lesion_demo.evaluate.reporting import Scorer


def test_a_graph_and_pytorch_say_the_same_of_every_picture(shipped: LoadedCheckpoint, phantom_data: Path) -> None:
    pictures = scan([phantom_data])[:6]
    by_graph = Scorer.of(shipped, workers=0, device="cpu")
    assert by_graph.graph is not None
    by_torch = replace(by_graph, graph=None)
    one, two = (scorer.predict(pictures, "phantoms") for scorer in (by_graph, by_torch))
    assert np.abs(one.logits - two.logits).max() < 1e-4
    assert one.early is not None
    assert two.early is not None
    assert np.abs(one.early - two.early).max() < 1e-4
    features = [scorer.last_features(pictures, "phantoms") for scorer in (by_graph, by_torch)]
    assert features[0] is not None
    assert features[1] is not None
    assert np.abs(features[0] - features[1]).max() < 1e-4


def test_without_a_graph_pytorch_runs(shipped: LoadedCheckpoint, tmp_path: Path) -> None:
    assert Scorer.of(replace(shipped, folder=tmp_path), workers=0).graph is None
