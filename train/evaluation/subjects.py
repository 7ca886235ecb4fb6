"""What a generator's samples say of depth: nobody knows what is right there, so subjects are found by colour alone."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from skimage.color import rgb2lab

Array = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

BORDER, MIDDLE = 0.9, 0.4
"""The picture's edge and its middle, as distances in units of half the side."""


def subject_of(picture: Array) -> Mask | None:
    """The pixels [S, S] of a picture's subject [S, S, 3]; None where there is but one colour.

    Two clusters in CIELAB, started from the picture's middle and from its border; the one that grew from the middle is
    the subject. Ours, and as rough as it sounds: pictures of nearly one colour are decided by chance.
    """
    side = picture.shape[0]
    axis = np.abs((np.arange(side) + 0.5) * (2 / side) - 1)
    middle = np.hypot(axis[None], axis[:, None]) < MIDDLE
    border = np.maximum(axis[None], axis[:, None]) > BORDER
    colours = rgb2lab(picture)
    start = np.stack([colours[middle].mean(axis=0), colours[border].mean(axis=0)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*clusters is empty.*")  # a picture of one colour, see below
        _, cluster = kmeans2(colours.reshape(-1, 3), start, minit="matrix")
    subject = (cluster == 0).reshape(side, side)
    return None if not subject.any() or subject.all() else subject


def subject_nearer(subject: Mask | None, disparity: Array) -> bool:
    """Whether the median disparity [S, S] of a picture's subject, see `subject_of`, is above that of the rest."""
    return subject is not None and bool(np.median(disparity[subject]) > np.median(disparity[~subject]))


def beyond_place(subjects: Sequence[Mask | None], disparities: Sequence[Array]) -> float:
    """Share of how much nearer subjects are than the rest that their place in the picture does not explain.

    A generator that puts the same disparity, near in the middle, under every picture has its subjects nearer too, for
    most lie there. What each sample's disparity adds to the mean of all samples' is its own.

    Args:
        subjects: of the pictures, see `subject_of`; those without one do not count.
        disparities: of the pictures, each [S, S].

    Returns:
        0 where place explains all, 1 where it explains nothing; below 0 where a sample's own depth puts its subject
        farther. 0 where subjects are no nearer at all.
    """
    mean = np.mean(disparities, axis=0)
    contrasts = [
        (_contrast(disparity, subject), _contrast(mean, subject))
        for subject, disparity in zip(subjects, disparities, strict=True)
        if subject is not None
    ]
    whole, placed = np.sum(contrasts, axis=0) if contrasts else (0.0, 0.0)
    return float((whole - placed) / whole) if whole > 0 else 0.0


def _contrast(disparity: Array, subject: Mask) -> float:
    return float(disparity[subject].mean() - disparity[~subject].mean())
