"""Hugging Face's ZeroGPU, which lends a GPU to the functions that ask for one, and stops a Space in which none asks.

Pictures are analysed on the CPU all the same: that takes a moment, and a visitor's share of the GPU is minutes a day.
So one function asks, the pass of many pictures through the network, and the page does without it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lesion_demo.web.launch import settle

if TYPE_CHECKING:
    from lesion_demo.serve.analysis import Analyzer

GPU_SECONDS = 10
"""The longest that the function would keep the GPU; a visitor with less left would be turned away."""


def on_zero_gpu(environment: Mapping[str, str]) -> bool:
    """Is this a Space with ZeroGPU? By the same rule as in the package `spaces`."""
    return environment.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def import_spaces() -> None:
    """Let the package `spaces` see to PyTorch; to be called before anything imports that.

    It makes PyTorch say that there is a GPU, which only works in functions that asked: the network stays on the CPU.
    """
    settle()  # the package imports Gradio
    importlib.import_module("spaces")


def ask_for_gpu(analyzer: Analyzer) -> None:
    """Make the request without which the Space is stopped; to be called before the page is launched."""
    spaces = importlib.import_module("spaces")
    spaces.GPU(duration=GPU_SECONDS)(analyzer.probabilities)
