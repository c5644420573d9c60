"""Heat maps of networks whose head is more than a mean and a linear layer, through the `grad-cam` package."""

from __future__ import annotations

import copy
import threading

import numpy as np
import torch
from pytorch_grad_cam.activations_and_gradients import ActivationsAndGradients
from torch import Tensor, nn

from lesion_demo.config import CLASSES
from lesion_demo.decision import MALIGNANT
from lesion_demo.network.engine import Array
from lesion_demo.network.forward import Cut, to_device_of


class GradCam:
    """Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391); threads may share one.

    The package hooks the network: a copy of its own, for one picture at a time.
    """

    def __init__(self, model: nn.Module) -> None:
        """For `model`, which stays as it is.

        Raises:
            TrainingError: no heat map can be made of it.
        """
        cut = Cut(copy.deepcopy(model).requires_grad_(False)).eval()
        self._hooks = ActivationsAndGradients(cut, [cut.layer], cut.reshape)
        self._one_at_a_time = threading.Lock()

    def __call__(self, inputs: Array, turns: int) -> Array:
        """Of `inputs` [1, 3, S, S], the mean over its quarter turns: [h, w], 0 or more."""
        turned = torch.from_numpy(np.concatenate([np.rot90(inputs, turn, (2, 3)) for turn in range(turns)]))
        maps, gradients = self._differentiated(turned)
        cams = (gradients.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1)  # [T, h, w]
        upright = torch.stack([torch.rot90(one, -turn, (0, 1)) for turn, one in enumerate(cams)])
        found: Array = upright.mean(0).relu().cpu().numpy()
        return found

    def _differentiated(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The last maps [T, C, h, w], and the gradients of the malignant logit with respect to them."""
        with self._one_at_a_time, torch.enable_grad():
            logits = self._hooks(to_device_of(self._hooks.model, inputs).requires_grad_())
            logits[:, CLASSES.index(MALIGNANT)].sum().backward()
            maps, gradients = self._hooks.activations[0], self._hooks.gradients[0]
            self._hooks.clear()
        return maps.float().detach(), gradients.float().detach()
