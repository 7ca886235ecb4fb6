"""Lens blur and guided upsampling trained together, through the recurrence they are used in."""

from __future__ import annotations

from typing import Any, Literal

import lightning
import torch
from torch.nn import functional as F
from torchmetrics.functional.image import peak_signal_noise_ratio

from ...runtime_ref.pipeline.stage import Stage
from ..networks.guided_upsampling import GuidedUpsamplingNet
from ..networks.lens_blur import LensBlurNet
from ..rendering.baselines.direct import DirectBlurNet

BlurNet = LensBlurNet | DirectBlurNet
"""What can blur the lowest level; the second is the baseline without optics."""

Loss = Literal["normalised", "plain", "psnr"]

GRADIENT_WEIGHT = 1.5
"""α of the paper's Eq. 5."""

JUMP = 0.5 / 8
"""Defocus in units of 8 pixels that differs by so much between neighbours is a depth edge's."""

BAND = 2
"""Pixels of the lowest level on either side of a depth edge, twice as many with each level up."""

PICTURES = 4
"""Validation scenes shown in TensorBoard."""


class RenderSystem(lightning.LightningModule):
    """Level 0 is blurred, then upsampled level by level from the networks' own output (Wang et al. 2018, Eq. 6).

    Every tile is edge-padded by the network's halo, run, and cropped by it: as it is used.

    Attributes:
        blur, upsampling: the networks.
        steps: optimiser steps of the whole run, for the learning rate's cosine.
        rate: the highest learning rate, after the warm-up.
        loss: which `lens_loss`.
        only: the one network that learns, the other stays as it is; None trains both. The lens blur alone learns from
            level 0.
    """

    WARM_UP = 200

    def __init__(
        self,
        blur: BlurNet,
        upsampling: GuidedUpsamplingNet,
        steps: int,
        rate: float = 2e-3,
        loss: Loss = "normalised",
        only: Stage | None = None,
    ) -> None:
        super().__init__()
        self.blur, self.upsampling, self.steps, self.rate = blur, upsampling, steps, rate
        self.loss: Loss = loss
        self.only = only
        for stage, network in ((Stage.LENS_BLUR, blur), (Stage.GUIDED_UPSAMPLING, upsampling)):
            if only not in (None, stage):
                network.requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # a step takes 0.6 of the time

    def configure_optimizers(self) -> Any:
        """Adam; the rate warms up linearly and falls to 1 % by a cosine."""
        optimizer = torch.optim.Adam((p for p in self.parameters() if p.requires_grad), lr=self.rate)

        def share(step: int) -> float:
            cosine = torch.cos(torch.tensor(torch.pi * min(1.0, step / self.steps))).item()
            return min(1.0, (step + 1) / self.WARM_UP) * (0.505 + 0.495 * cosine)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batches: list[dict[str, Any]], batch_idx: int) -> torch.Tensor:
        """The mean of the levels' losses, then of the windows; `batches` are of windows with equally many levels."""
        counts = [len(batch["image"]) for batch in batches]
        losses = [count / sum(counts) * self._loss(batch) for count, batch in zip(counts, batches, strict=True)]
        loss = torch.stack(losses).sum()
        self.log("loss", loss)
        return loss

    def _loss(self, batch: dict[str, Any]) -> torch.Tensor:
        halo, first = self.blur.halo, int(batch["first"][0])
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        blurred = _cropped(self.blur(image, batch["defocus"]), halo)
        edges = self._edges(_cropped(batch["defocus"], halo), BAND << first)
        losses = [lens_loss(blurred, batch["blurred"], _cropped(image, halo), self.loss, edges)]
        steps = batch["steps"] if self.only is not Stage.LENS_BLUR else []
        for level, step in enumerate(steps, start=first):
            low = _windows(blurred, step["offset"], step["image_low"].shape[-1])
            blurred = self.upsample(step["image_high"], step["image_low"], low, step["defocus_low"])
            edges = self._edges(step["defocus_low"], BAND << level, times=2)
            losses.append(lens_loss(blurred, step["blurred_high"], step["image_high"], self.loss, edges))
        self.log_dict({f"loss_from{first}_level{level}": loss for level, loss in enumerate(losses, start=first)})
        return torch.stack(losses).mean()

    def _edges(self, defocus: torch.Tensor, width: int, times: int = 1) -> torch.Tensor | None:
        """The band that the loss counts once more, enlarged so many times; only "psnr" asks for one."""
        return F.interpolate(edge_band(defocus, width), scale_factor=float(times)) if self.loss == "psnr" else None

    def validation_step(self, batch: dict[str, list[torch.Tensor]], batch_idx: int) -> None:
        """PSNR of a picture and of its lowest level, and of what costs nothing: no blur at all, bilinear upsampling."""
        images, truths, defocus = batch["images"], batch["truths"], batch["defocus"]
        levels = self.render(images, batch["filled"][0], defocus)
        bilinear = F.interpolate(levels[0], size=images[-1].shape[-2:], mode="bilinear", align_corners=False)
        figures = {
            "psnr": _psnr(levels[-1], truths[-1]),
            "psnr_lowest": _psnr(levels[0], truths[0]),
            "psnr_unblurred": _psnr(images[-1], truths[-1]),
            "psnr_bilinear": _psnr(bilinear, truths[-1]),
        }
        kept = (truths[-1] - images[-1]).abs().amax(1, keepdim=True) < 2 / 255
        in_focus = (kept & (defocus[-1].abs() * 8 < 0.5)).expand_as(images[-1])
        if in_focus.any():
            figures["psnr_in_focus"] = _psnr(levels[-1][in_focus], images[-1][in_focus])
        self.log_dict(figures, batch_size=1, sync_dist=True)
        if batch_idx < PICTURES and self.logger is not None:
            row = torch.cat([images[-1], levels[-1], truths[-1]], dim=3)[0]
            self.logger.experiment.add_image(f"sharp_ours_truth/{batch_idx}", row, self.global_step)  # pyright: ignore

    def render(
        self, images: list[torch.Tensor], filled: torch.Tensor, defocus: list[torch.Tensor]
    ) -> list[torch.Tensor]:
        """All levels of whole pictures, lowest first.

        Args:
            images: [N, 3, H, W] of every level, each twice the size of the one before.
            filled: [N, 1, H, W] of the lowest level, as the lens blur sees it.
            defocus: [N, 1, H, W] of every level, as the upsampling sees it; the last is not needed.
        """
        halo = self.blur.halo
        levels = [_cropped(self.blur(_edged(images[0], halo), _edged(filled, halo)), halo)]
        for low, image in enumerate(images[1:]):
            levels.append(self.upsample(image, images[low], levels[-1], defocus[low]))
        return levels

    def upsample(
        self, image_high: torch.Tensor, image_low: torch.Tensor, blurred_low: torch.Tensor, defocus_low: torch.Tensor
    ) -> torch.Tensor:
        """One doubling of a whole picture or window: [N, 3, H, W] → [N, 3, 2H, 2W]."""
        halo = self.upsampling.halo
        low = (_edged(maps, halo) for maps in (image_low, blurred_low, defocus_low))
        return _cropped(self.upsampling(_edged(image_high, 2 * halo), *low), 2 * halo)


def lens_loss(
    ours: torch.Tensor, truth: torch.Tensor, sharp: torch.Tensor, kind: Loss = "normalised",
    edges: torch.Tensor | None = None,
) -> torch.Tensor:  # fmt: skip
    """How far `ours` is from `truth`, each picture by itself, then the mean over pictures.

    - "normalised": (mean |e| + 1.5 · mean |∇e|) / (mean |truth − sharp| + 0.02), e = ours − truth. The paper's Eq. 5
      divides by how much the lens changes a picture, or strongly blurred ones would decide everything; what we know of
      it is that, its α = 1.5 and that gradients count. The floor is ours.
    - "plain": the numerator alone.
    - "psnr": −PSNR in dB / 10 up to 55 dB, for the last steps of a training that is judged by it; where there are
      `edges`, the mean of the whole picture's and theirs.

    Args:
        ours, truth, sharp: [N, 3, H, W] in [0, 1].
        edges: [N, 1, H, W], 1 near a depth edge, else 0; see `edge_band`.
    """
    error = ours - truth
    if kind == "psnr":
        square = error.square().mean(dim=1, keepdim=True)
        whole = torch.log10(square.mean(dim=(1, 2, 3)) + 10**-5.5)
        if edges is None:
            return whole.mean()
        area = edges.sum(dim=(1, 2, 3))
        near = torch.log10((square * edges).sum(dim=(1, 2, 3)) / area.clamp(min=1) + 10**-5.5)
        return torch.where(area > 0, 0.5 * (whole + near), whole).mean()
    across = (error[..., :, 1:] - error[..., :, :-1]).abs().mean(dim=(1, 2, 3))
    down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean(dim=(1, 2, 3))
    distance = error.abs().mean(dim=(1, 2, 3)) + GRADIENT_WEIGHT * (across + down)
    if kind == "plain":
        return distance.mean()
    return (distance / ((truth - sharp).abs().mean(dim=(1, 2, 3)) + 0.02)).mean()


def edge_band(defocus: torch.Tensor, width: int) -> torch.Tensor:
    """1 within `width` pixels of a jump in `defocus` [N, 1, H, W], else 0."""
    jump = F.max_pool2d(defocus, 3, 1, 1) + F.max_pool2d(-defocus, 3, 1, 1) > JUMP
    return F.max_pool2d(jump.to(defocus.dtype), 2 * width + 1, 1, width)


def _psnr(ours: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """dB for a peak of 1, at most 60 so that one perfect picture does not decide the mean."""
    return peak_signal_noise_ratio(ours, truth, data_range=1.0).clamp(max=60.0)


def _edged(maps: torch.Tensor, halo: int) -> torch.Tensor:
    return F.pad(maps, (halo, halo, halo, halo), mode="replicate").contiguous(memory_format=torch.channels_last)


def _cropped(maps: torch.Tensor, halo: int) -> torch.Tensor:
    return maps[..., halo:-halo, halo:-halo]


def _windows(maps: torch.Tensor, offsets: torch.Tensor, side: int) -> torch.Tensor:
    """Square windows of [N, C, H, W] at `offsets` [N, 2] (y, x)."""
    return torch.stack([m[:, y : y + side, x : x + side] for m, (y, x) in zip(maps, offsets.tolist(), strict=True)])
