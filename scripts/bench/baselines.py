"""What the table compares with, as anybody would write it: stock torchvision with grad-cam, and plain loops.

Started with a checkpoint's folder and a picture, it imports everything, loads the network and makes one prediction.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import gradio  # noqa: F401  # a stock demo imports it, and the start is measured
import numpy as np
import onnxruntime
import torch
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import show_cam_on_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.models import efficientnet_b3

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SIDE = 300


def stock_model(folder: Path) -> nn.Module:
    """Torchvision's B3 with a checkpoint's weights, float32."""
    model = efficientnet_b3(num_classes=2)
    model.load_state_dict({name: one.float() for name, one in load_file(folder / "model.safetensors").items()})
    return model.eval()


class StockDemo:
    """One picture: probability, Grad-CAM and overlay."""

    def __init__(self, folder: Path) -> None:
        self.model = stock_model(folder)
        self.cam = GradCAM(self.model, [self.model.features[-1]])  # type: ignore[index]
        normalise = transforms.Normalize(MEAN, STD)
        self.prepare = transforms.Compose([transforms.Resize((SIDE, SIDE)), transforms.ToTensor(), normalise])

    def __call__(self, file: Path) -> tuple[float, object]:
        image = Image.open(file).convert("RGB")
        pixels = self.prepare(image)[None]
        with torch.no_grad():
            probability = float(self.model(pixels).softmax(1)[0, 1])
        heat = self.cam(pixels, [ClassifierOutputTarget(1)])[0]
        shown = np.asarray(image.resize((SIDE, SIDE)), np.float32) / 255
        return probability, show_cam_on_image(shown, heat, use_rgb=True)


class PlainLoop:
    """ONNX Runtime as it comes, one picture after the other: decoded, prepared, `turns` turns, a probability."""

    def __init__(self, folder: Path, turns: int) -> None:
        self.session = onnxruntime.InferenceSession(folder / "graph.onnx", providers=["CPUExecutionProvider"])
        self.turns = turns

    def __call__(self, files: Sequence[Path], prepare: object) -> list[float]:
        """Args: prepare: from pixels uint8 [H, W, 3] to float32 [3, S, S]."""
        found = []
        for file in files:
            inputs = prepare(np.asarray(Image.open(file).convert("RGB")))[None]  # type: ignore[operator]
            turned = np.concatenate([np.rot90(inputs, turn, (2, 3)) for turn in range(self.turns)])
            (logits,) = self.session.run(["logits"], {"pixels": turned})
            benign, malignant = logits.mean(axis=0)
            found.append(1 / (1 + np.exp(benign - malignant)))
        return found


class PlainPictures(Dataset[Tensor]):
    """JPEG files through torchvision's transforms on PIL pictures."""

    def __init__(self, files: Sequence[Path], side: int) -> None:
        self.files = files
        self.transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(side, scale=(0.7, 1.0)),
                transforms.RandomHorizontalFlip(),
                transforms.RandomVerticalFlip(),
                transforms.RandomRotation(45),
                transforms.ColorJitter(0.3, 0.3, 0.3, 0.04),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        pixels: Tensor = self.transform(Image.open(self.files[index]).convert("RGB"))
        return pixels


def step_plainly(model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, targets: Tensor) -> float:
    """A training step in float32 on pictures [B, 3, S, S]; the loss."""
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(images), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def read_all(files: Sequence[Path], side: int) -> None:
    """Every picture once through the plain input pipeline, in this process."""
    for _ in DataLoader(PlainPictures(files, side), batch_size=16):
        pass


if __name__ == "__main__":
    print(StockDemo(Path(sys.argv[1]))(Path(sys.argv[2]))[0], flush=True)
