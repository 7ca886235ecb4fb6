"""Depth networks of transformers' own classes: the real topology, small widths, random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def _dinov2(transformers: Any) -> Any:
    return transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14, mlp_ratio=2,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip


def _anything(transformers: Any, kind: str) -> Any:
    return transformers.DepthAnythingForDepthEstimation(
        transformers.DepthAnythingConfig(
            backbone_config=_dinov2(transformers), reassemble_hidden_size=32, neck_hidden_sizes=[8, 12, 16, 24],
            fusion_hidden_size=16, head_hidden_size=8, depth_estimation_type=kind, max_depth=20,
        )
    )  # fmt: skip


def _prompt(transformers: Any) -> Any:
    return transformers.PromptDepthAnythingForDepthEstimation(
        transformers.PromptDepthAnythingConfig(
            backbone_config=_dinov2(transformers), reassemble_hidden_size=32, neck_hidden_sizes=[8, 12, 16, 24],
            fusion_hidden_size=16, head_hidden_size=8,
        )
    )  # fmt: skip


def _swin(transformers: Any) -> Any:
    backbone = transformers.Swinv2Config(
        image_size=64, embed_dim=16, depths=[1, 1, 2, 1], num_heads=[1, 2, 2, 2], window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    return transformers.DPTForDepthEstimation(
        transformers.DPTConfig(
            backbone_config=backbone, neck_hidden_sizes=[16, 32, 64, 128], fusion_hidden_size=16,
            reassemble_factors=[1, 1, 1, 1], neck_ignore_stages=[], use_bias_in_fusion_residual=False,
        )
    )  # fmt: skip


def _hybrid(transformers: Any) -> Any:
    backbone = transformers.BitConfig(
        embedding_size=32, hidden_sizes=[128, 128, 256], depths=[1, 1, 2], layer_type="bottleneck",
        global_padding="same", embedding_dynamic_padding=True, out_features=["stage1", "stage2", "stage3"],
    )  # fmt: skip
    return transformers.DPTForDepthEstimation(
        transformers.DPTConfig(
            hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=64, image_size=64,
            patch_size=16, is_hybrid=True, backbone_config=backbone, backbone_out_indices=[0, 1, 2, 3],
            backbone_featmap_shape=[1, 256, 4, 4], readout_type="project", neck_ignore_stages=[0, 1],
            reassemble_factors=[1, 1, 1, 0.5], neck_hidden_sizes=[128, 128, 16, 24], fusion_hidden_size=16,
        )
    )  # fmt: skip


def _glpn(transformers: Any) -> Any:
    return transformers.GLPNForDepthEstimation(
        transformers.GLPNConfig(
            depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 24, 32], num_attention_heads=[1, 2, 2, 2], decoder_hidden_size=16,
        )
    )  # fmt: skip


def _zoe(transformers: Any) -> Any:
    backbone = transformers.BeitConfig(
        image_size=64, patch_size=16, hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=64,
        use_relative_position_bias=True, reshape_hidden_states=False, out_indices=[1, 2, 3, 4],
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    return transformers.ZoeDepthForDepthEstimation(
        transformers.ZoeDepthConfig(
            backbone_config=backbone, neck_hidden_sizes=[8, 12, 16, 24], fusion_hidden_size=16, bottleneck_features=16,
            num_relative_features=8, bin_embedding_dim=16, num_attractors=[4, 4, 2, 1],
            patch_transformer_hidden_size=16, patch_transformer_intermediate_size=32,
            patch_transformer_num_attention_heads=2,
            bin_configurations=[{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0}],
        )
    )  # fmt: skip


def _tips(transformers: Any) -> Any:
    backbone = transformers.Tipsv2VisionConfig(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14, mlp_ratio=2,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False,
    )  # fmt: skip
    return transformers.Tipsv2DptForDepthEstimation(
        transformers.Tipsv2DptConfig(
            backbone_config=backbone, neck_hidden_sizes=[8, 12, 16, 24], fusion_hidden_size=16, num_depth_bins=16,
        )
    )  # fmt: skip


def _depth_pro(transformers: Any) -> Any:
    vit = {
        "model_type": "dinov2", "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 32,
        "patch_size": 8, "mlp_ratio": 2, "use_mask_token": False,
    }  # fmt: skip
    return transformers.DepthProForDepthEstimation(
        transformers.DepthProConfig(
            fusion_hidden_size=16, patch_size=32, intermediate_hook_ids=[2, 1], intermediate_feature_dims=[16, 16],
            scaled_images_feature_dims=[32, 24, 16], use_fov_model=False,
            image_model_config=vit, patch_model_config=vit, fov_model_config=vit,
        )
    )  # fmt: skip


THIN: dict[str, Callable[[Any], Any]] = {
    "depth_anything": lambda transformers: _anything(transformers, "relative"),
    "depth_anything_metric": lambda transformers: _anything(transformers, "metric"),
    "prompt_depth_anything": _prompt,
    "dpt_swinv2": _swin,
    "dpt_hybrid": _hybrid,
    "glpn": _glpn,
    "zoedepth": _zoe,
    "tipsv2_dpt": _tips,
    "depth_pro": _depth_pro,
}


def write_thin(family: str, folder: Path) -> Path:
    """A family's thin network, written as `save_pretrained` does; its maps vary over a photo."""
    import transformers

    torch.manual_seed(5)
    network = THIN[family](transformers).eval()
    for parameter in network.parameters():
        if parameter.ndim > 1:  # transformers' own start, 0.02, leaves maps of 1e-5
            torch.nn.init.normal_(parameter, std=0.5 / max(1, parameter[0].numel()) ** 0.5 * 2)
        else:
            torch.nn.init.uniform_(parameter, 0.05, 0.15)
    network.save_pretrained(folder)
    return folder
