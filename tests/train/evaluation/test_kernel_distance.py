"""The kernel distance between sets: unbiased, near zero for alike, against a direct sum over pairs."""

import pytest
import torch

from dofkit.train.evaluation.kernel_distance import EncoderFeatures, kernel_distance


class Pooled(torch.nn.Module):
    """Features that a test can compute again: means of quarters of each channel."""

    num_features = 12

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(pictures, 2).flatten(1)


def cubic(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3


def test_of_whole_sets_it_is_the_unbiased_sum_over_pairs() -> None:
    torch.manual_seed(0)
    first, second = torch.rand(400, 3, 8, 8), torch.rand(400, 3, 8, 8) * 0.8
    a, b = Pooled()(first), Pooled()(second)
    within = sum((k.sum() - k.diagonal().sum()) / (400 * 399) for k in (cubic(a, a), cubic(b, b)))
    expected = float(within - 2 * cubic(a, b).mean())
    assert kernel_distance(first, second, Pooled()) == pytest.approx(expected, rel=0.1)  # subsets of half


def test_two_halves_of_one_set_are_alike_and_brighter_ones_are_not() -> None:
    torch.manual_seed(1)
    pictures = torch.rand(128, 3, 32, 32)
    features = EncoderFeatures()
    alike = kernel_distance(pictures[:64], pictures[64:], features)
    apart = kernel_distance(pictures[:64], pictures[64:].sqrt(), features)
    assert abs(alike) * 5 < apart
