"""Depthwise convolutions and the gates behind them, with a backward pass that is fast on a CPU in bfloat16.

oneDNN, which torch calls there, has fast kernels for 3×3 at stride 1, but takes 10 to 90 times as long for the weights
of a 5×5 kernel or the inputs of a strided one: most of an EfficientNet's training time. Here both are put together from
the fast ones. Squeeze and excitation reads and writes its large maps as seldom as can be.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import SqueezeExcitation

KERNELS = ((3, 3), (5, 5))
STRIDES = ((1, 1), (2, 2))


class FastDepthwise(nn.Conv2d):
    """An `nn.Conv2d` of as many groups as channels, whose backward pass in bfloat16 on a CPU is `_Depthwise`'s."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """float [B, C, H, W] → [B, C, H / stride, W / stride]."""
        if not _in_bfloat16(input) or bias is not None:
            return super()._conv_forward(input, weight, bias)
        output: Tensor = _Depthwise.apply(input.bfloat16(), weight.bfloat16(), self.stride[0])
        return output


class FastGate(SqueezeExcitation):
    """A `SqueezeExcitation` by SiLU and sigmoid, whose backward pass in bfloat16 on a CPU is `_Gate`'s."""

    def forward(self, input: Tensor) -> Tensor:
        """float [B, C, H, W] → the same size."""
        if not _in_bfloat16(input):
            output: Tensor = super().forward(input)
            return output
        layers = (self.fc1.weight.flatten(1), self.fc1.bias, self.fc2.weight.flatten(1), self.fc2.bias)
        gated: Tensor = _Gate.apply(input.bfloat16(), *(one.bfloat16() for one in layers))
        return gated


def use_fast_depthwise(model: nn.Module) -> None:
    """Make every 3×3 and 5×5 depthwise convolution of `model` a `FastDepthwise`, and every gate a `FastGate`, in place.

    Weights and names stay.
    """
    for module in model.modules():
        if type(module) is nn.Conv2d and _qualifies(module):
            module.__class__ = FastDepthwise
        elif type(module) is SqueezeExcitation and _is_usual(module):
            module.__class__ = FastGate


def _in_bfloat16(input: Tensor) -> bool:
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else input.dtype
    return input.device.type == "cpu" and dtype == torch.bfloat16


def _is_usual(gate: SqueezeExcitation) -> bool:
    return isinstance(gate.activation, nn.SiLU) and isinstance(gate.scale_activation, nn.Sigmoid)


def _qualifies(conv: nn.Conv2d) -> bool:
    return (
        conv.groups == conv.in_channels == conv.out_channels
        and conv.kernel_size in KERNELS
        and conv.stride in STRIDES
        and conv.padding == (conv.kernel_size[0] // 2,) * 2
        and conv.dilation == (1, 1)
        and conv.padding_mode == "zeros"
        and conv.bias is None
    )


class _Depthwise(torch.autograd.Function):
    """x [B, C, H, W] with w [C, 1, k, k], padded by k // 2; both bfloat16."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.stride = stride
        return functional.conv2d(x, w, None, stride, w.shape[-1] // 2, 1, w.shape[0])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, w = ctx.saved_tensors
        (gradient,) = gradients
        if ctx.stride > 1:  # as if it had been computed everywhere, and zero been made of it in between
            between = torch.zeros_like(x)
            between[:, :, :: ctx.stride, :: ctx.stride] = gradient
            gradient = between
        need_x, need_w, _ = ctx.needs_input_grad
        return (
            functional.conv2d(gradient, w.flip(2, 3), None, 1, w.shape[-1] // 2, 1, w.shape[0]) if need_x else None,
            _weight_gradient(x, gradient, w) if need_w else None,
            None,
        )


class _Gate(torch.autograd.Function):
    """x [B, C, H, W] times a gate for each of its channels, found in their means by two layers; all bfloat16."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
        means = x.mean((2, 3))  # [B, C]
        squeezed = functional.linear(means, w1, b1)  # [B, c]
        gates = functional.linear(functional.silu(squeezed), w2, b2).sigmoid()  # [B, C]
        ctx.save_for_backward(x, means, squeezed, gates, w1, w2)
        return x * gates[..., None, None]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        x, means, squeezed, gates, w1, w2 = ctx.saved_tensors
        (gradient,) = gradients
        excited = (gradient * x).sum((2, 3)) * gates * (1 - gates)  # [B, C], before the sigmoid
        inner = torch.ops.aten.silu_backward(excited @ w2, squeezed)  # [B, c], before the SiLU
        of_means = (inner @ w1) / (x.shape[2] * x.shape[3])
        of_x = torch.addcmul(of_means[..., None, None], gradient, gates[..., None, None])  # in one pass over the map
        return of_x, inner.T @ means, inner.sum(0), excited.T @ functional.silu(squeezed), excited.sum(0)


def _weight_gradient(x: Tensor, gradient: Tensor, w: Tensor) -> Tensor:
    """Of an unstrided convolution: [C, 1, k, k], put together from 3×3 corners of the kernel."""
    k = w.shape[-1]
    if k == 3:
        return _weight_gradient_3x3(x, gradient, w, padding=1)
    height, width = x.shape[-2:]
    padded = functional.pad(x, [k // 2] * 4)
    result = torch.empty_like(w)
    for top in range(0, k - 2, 2):
        for left in range(0, k - 2, 2):
            part = padded[:, :, top : top + height + 2, left : left + width + 2]
            part = part.contiguous(memory_format=torch.channels_last)
            corner = (slice(None), slice(None), slice(top, top + 3), slice(left, left + 3))
            result[corner] = _weight_gradient_3x3(part, gradient, w[corner], padding=0)
    return result


def _weight_gradient_3x3(x: Tensor, gradient: Tensor, w: Tensor, *, padding: int) -> Tensor:
    _, result, _ = torch.ops.aten.convolution_backward(
        gradient,
        x,
        w.contiguous(),
        None,
        [1, 1],
        [padding] * 2,
        [1, 1],
        False,
        [0, 0],
        w.shape[0],
        [False, True, False],
    )
    assert isinstance(result, Tensor)
    return result
