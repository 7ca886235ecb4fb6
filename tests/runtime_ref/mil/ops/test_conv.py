"""Convolutions against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from dofkit.runtime_ref.mil import Numerics
from dofkit.runtime_ref.mil.ops import conv as kernels

CONV = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TRANSPOSE = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.oracle("conv", "torch.nn.functional.conv1d, conv2d, conv3d")
@pytest.mark.parametrize(
    ("size", "channels", "out", "kernel", "stride", "dilation", "pad", "groups"),
    [
        ((11,), 3, 5, (3,), 1, 1, (1, 1), 1),
        ((11,), 4, 4, (4,), 2, 2, (3, 0), 4),
        ((7, 9), 3, 6, (3, 3), 1, 1, (1, 1, 1, 1), 1),
        ((7, 9), 3, 6, (1, 1), 1, 1, (0, 0, 0, 0), 1),
        ((8, 9), 3, 6, (1, 1), 2, 1, (0, 0, 0, 0), 1),
        ((12, 9), 6, 6, (3, 5), 2, 1, (0, 2, 1, 3), 6),
        ((12, 9), 6, 9, (2, 3), 3, 2, (2, 0, 1, 0), 3),
        ((13, 12), 4, 8, (3, 3), 1, 3, (3, 3, 3, 3), 4),
        ((5, 6, 7), 2, 4, (2, 3, 3), 1, 1, (0, 1, 1, 1, 2, 0), 2),
        ((6, 7, 5), 3, 2, (3, 2, 1), 2, 2, (2, 2, 1, 1, 0, 0), 1),
    ],
)
def test_convolution_is_pytorchs(evaluate, size, channels, out, kernel, stride, dilation, pad, groups) -> None:
    x, weight = _random(2, channels, *size), _random(out, channels // groups, *kernel)
    bias = _random(out)
    rank = len(size)
    build = lambda mb, x: mb.conv(
        x=x,
        weight=weight,
        bias=bias,
        strides=[stride] * rank,
        dilations=[dilation] * rank,
        pad_type="custom",
        pad=pad,
        groups=groups,
    )
    wide = functional.pad(
        torch.from_numpy(x), [value for axis in range(rank)[::-1] for value in pad[2 * axis : 2 * axis + 2]]
    )
    expected = CONV[rank](
        wide, torch.from_numpy(weight), torch.from_numpy(bias), stride=stride, dilation=dilation, groups=groups
    )
    np.testing.assert_allclose(evaluate(build, {"x": x})[0], expected, atol=2e-5)


@pytest.mark.oracle("conv", "torch.nn.functional.conv2d, padding by the definition of ceil(size / stride)")
@pytest.mark.parametrize(("pad_type", "before"), [("same", (0, 1)), ("same_lower", (1, 1))])
def test_same_padding_puts_the_odd_pixel_after_and_same_lower_before(evaluate, pad_type, before) -> None:
    x, weight = _random(1, 2, 8, 9), _random(3, 2, 3, 3)
    build = lambda mb, x: mb.conv(x=x, weight=weight, strides=[2, 2], pad_type=pad_type)
    # 8 rows need 1 more for 4 outputs of 3-pixel windows, 9 columns need 2 for 5.
    wide = functional.pad(torch.from_numpy(x), (1, 1, before[0], 1 - before[0]))
    expected = functional.conv2d(wide, torch.from_numpy(weight), stride=2)
    np.testing.assert_allclose(evaluate(build, {"x": x})[0], expected, atol=1e-5)


@pytest.mark.oracle("conv", "torch.nn.functional.conv2d")
def test_bands_of_rows_join_without_a_seam(monkeypatch) -> None:
    x, weight = _random(1, 4, 40, 30), _random(6, 4, 3, 3)
    whole = kernels.conv(x, weight, strides=(2, 1), pad_type="same")
    monkeypatch.setattr(kernels, "_UNFOLDED", 3000)
    np.testing.assert_allclose(kernels.conv(x, weight, strides=(2, 1), pad_type="same"), whole, atol=1e-5)
    deep = _random(8, 1, 3, 3)
    narrow = kernels.conv(_random(1, 8, 40, 30), deep, pad_type="same", groups=8)
    expected = functional.conv2d(torch.from_numpy(_random(1, 8, 40, 30)), torch.from_numpy(deep), padding=1, groups=8)
    np.testing.assert_allclose(narrow, expected, atol=1e-5)


@pytest.mark.oracle("conv", "the same sum in another order")
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3)])
def test_the_order_of_a_sum_moves_a_result_by_float32_rounding_at_most(kernel) -> None:
    """All that is promised across processes, threads and machines, whose BLAS choose the order."""
    x, weight = _random(1, 24, 12, 10), _random(6, 24, *kernel)
    turned = kernels.conv(x[:, ::-1], weight[:, ::-1], pad_type="same")
    # Each of two float32 sums of n products is within n·2^-24·Σ|w·x| of the exact one (Higham 2002, Eq. 3.5).
    bound = (
        2 * weight[0].size * 2.0**-24 * kernels.conv(abs(x).astype(float), abs(weight).astype(float), pad_type="same")
    )
    assert (abs(kernels.conv(x, weight, pad_type="same") - turned) <= bound).all()


@pytest.mark.oracle("conv", "torch.nn.functional.conv2d in float64")
def test_fp16_convolution_is_the_exact_one_rounded_once(evaluate) -> None:
    x, weight = _random(1, 16, 12, 12), _random(8, 16, 3, 3)
    build = lambda mb, x: mb.conv(x=x, weight=weight, pad_type="valid")
    half = evaluate(build, {"x": x}, half=True)[0]
    picture, kernel = (torch.from_numpy(a.astype(np.float16).astype(np.float64)) for a in (x, weight))
    exact = functional.conv2d(picture, kernel).numpy()
    # Half a unit in the last place of fp16, and what float32 summation adds to it.
    np.testing.assert_allclose(half, exact, rtol=2**-11 * 1.01, atol=1e-5)


@pytest.mark.oracle("conv", "torch.nn.functional.conv2d in float64")
def test_ideal_numerics_compute_in_double(evaluate) -> None:
    x, weight = _random(1, 16, 12, 12), _random(8, 16, 3, 3)
    build = lambda mb, x: mb.conv(x=x, weight=weight, pad_type="valid")
    program = evaluate.save(build, {"x": x})
    from dofkit.runtime_ref.mil import MLProgram

    values = {}
    MLProgram.open(program, numerics=Numerics.IDEAL).run(
        {"x": x}, watch=lambda _, name, value: values.update({name: value})
    )
    exact = functional.conv2d(torch.from_numpy(x).double(), torch.from_numpy(weight).double()).numpy()
    np.testing.assert_allclose(next(iter(values.values())), exact, rtol=1e-12, atol=1e-13)


@pytest.mark.oracle("conv_transpose", "torch.nn.functional.conv_transpose1d, 2d, 3d")
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "pad", "groups"),
    [
        ((9,), (4,), 2, 1, 1, 1),
        ((5, 6), (2, 2), 2, 1, 0, 1),
        ((5, 6), (4, 4), 2, 1, 1, 2),
        ((5, 6), (3, 2), 3, 2, 0, 4),
        ((3, 4, 5), (3, 2, 2), 2, 1, 1, 2),
    ],
)
def test_transposed_convolution_is_pytorchs(evaluate, size, kernel, stride, dilation, pad, groups) -> None:
    rank = len(size)
    x, weight, bias = _random(2, 4, *size), _random(4, 6 // groups if 6 % groups == 0 else 2, *kernel), None
    bias = _random(weight.shape[1] * groups)
    build = lambda mb, x: mb.conv_transpose(
        x=x,
        weight=weight,
        bias=bias,
        strides=[stride] * rank,
        dilations=[dilation] * rank,
        pad_type="custom",
        pad=[pad] * 2 * rank,
        groups=groups,
    )
    expected = TRANSPOSE[rank](
        *(torch.from_numpy(a) for a in (x, weight, bias)),
        stride=stride,
        dilation=dilation,
        padding=pad,
        groups=groups,
    )
    np.testing.assert_allclose(evaluate(build, {"x": x})[0], expected, atol=1e-5)


@pytest.mark.oracle("conv_transpose", "the gradient of torch.nn.functional.conv2d")
@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_same_transposed_convolution_is_the_gradient_of_a_same_convolution(evaluate, kernel) -> None:
    x, weight = _random(1, 3, 4, 5), _random(3, 2, kernel, kernel)
    build = lambda mb, x: mb.conv_transpose(x=x, weight=weight, strides=[2, 2], pad_type="same")
    surplus = kernel - 2  # what a same convolution of stride 2 pads an even picture with
    wide = torch.zeros(1, 2, 8 + max(0, surplus), 10 + max(0, surplus), requires_grad=True)
    functional.conv2d(wide, torch.from_numpy(weight), stride=2).backward(torch.from_numpy(x))
    before = max(0, surplus) // 2
    assert wide.grad is not None
    expected = wide.grad[..., before : before + 8, before : before + 10]
    np.testing.assert_allclose(evaluate(build, {"x": x})[0], expected, atol=1e-5)


@pytest.mark.oracle("conv_quantized", "torch.nn.functional.conv2d of the dequantised weights")
def test_quantised_convolution_unpacks_its_weights() -> None:
    x, codes = _random(1, 3, 6, 6), np.random.default_rng(0).integers(0, 255, (4, 3, 3, 3)).astype(np.uint8)
    scale, bias = np.array([0.1, 0.2, 0.3, 0.4], np.float32), np.array([-1, 0, 1, 2], np.float32)
    weight = torch.from_numpy(codes).float() * torch.from_numpy(scale)[:, None, None, None]
    weight += torch.from_numpy(bias)[:, None, None, None]
    found = kernels.conv_quantized(x, codes, "linear", scale, bias)
    np.testing.assert_allclose(found, functional.conv2d(torch.from_numpy(x), weight), rtol=1e-5, atol=1e-3)
