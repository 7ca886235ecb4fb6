"""From folders of weights to the methods of an evaluation, each with a fingerprint of the files it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch

from ...runtime_ref.bundle import file_sha256
from ...runtime_ref.errors import DofkitError
from ...runtime_ref.pipeline.portrait import PortraitPipeline
from ...runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage
from ..rendering.baselines import CLASSICAL, UPSAMPLERS
from ..rendering.baselines.direct import DIRECT_ONLY, DirectBlurNet
from ..rendering.lens import Array
from ..session import Tiled, default_plan, tile_spec, torch_sessions
from ..weights import SHIPPED, has_weights, load_network, load_weights, weights_file
from .methods import VERSION, Classical, DisparitySource, Group, Method, Networks, OtherUpsampling, Unblurred, digest
from .scores import Bytes

RENDERING = (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING)
TRUE_AND_CORRUPTED = (DisparitySource.TRUE, DisparitySource.CORRUPTED)


@dataclass(frozen=True)
class WeightFiles:
    """The file of every stage.

    Attributes:
        files: stage -> file.
    """

    files: Mapping[Stage, Path]

    @classmethod
    def of(cls, folder: Path, otherwise: Path = SHIPPED) -> WeightFiles:
        """From a folder; stages that it lacks from another one, and then from what ships with dofkit.

        Raises:
            DofkitError: the folder has neither of the rendering networks.
        """
        if not any(has_weights(stage, folder) for stage in RENDERING):
            names = " or ".join(weights_file(stage, folder).name for stage in RENDERING)
            raise DofkitError(f"{folder} holds no {names}; give the folder that `dofkit train render` wrote")
        order = (folder, otherwise, SHIPPED)
        return cls(
            {s: weights_file(s, next(f for f in order if f is SHIPPED or has_weights(s, f))) for s in PIPELINE_STAGES}
        )

    def sha256(self) -> dict[str, str]:
        """Stage name -> SHA-256 of its file."""
        return {stage.value: file_sha256(file) for stage, file in self.files.items()}

    def load(self, stage: Stage) -> torch.nn.Module:
        """A stage's network; see `load_weights`."""
        return load_weights(stage, self.files[stage].parent)

    def networks(self, name: str, **facts: Any) -> Networks:
        """Both rendering networks as a method; `facts` are further fields of `Networks`."""
        loaded = {stage: self.load(stage) for stage in RENDERING}
        print_of_files = digest(*(self.sha256()[stage.value] for stage in RENDERING))
        return networks_method(name, loaded, print_of_files, **facts)


@dataclass(frozen=True)
class DepthNetwork:
    """The depth network as a source of predicted disparity."""

    pipeline: PortraitPipeline = field(repr=False)
    fingerprint: str

    @classmethod
    def of(cls, weights: WeightFiles) -> DepthNetwork:
        """From the weights' depth network."""
        network = weights.load(Stage.DEPTH)
        plan = default_plan()
        fingerprint = digest(VERSION, plan.depth_shapes, weights.sha256()[Stage.DEPTH.value])
        return cls(PortraitPipeline(torch_sessions({Stage.DEPTH: network}), plan), fingerprint)

    def __call__(self, sharp: Bytes) -> Array:
        return self.pipeline.disparity(sharp).astype("float32", copy=False)


def networks_method(name: str, networks: Mapping[Stage, torch.nn.Module], fingerprint: str, **facts: Any) -> Networks:
    """Two rendering networks as a method; `facts` are further fields of `Networks`."""
    tiles = {stage.value: tile_spec(cast(Tiled, networks[stage])) for stage in RENDERING}  # halos are their own
    plan = default_plan().model_copy(update=tiles)
    pipeline = PortraitPipeline(torch_sessions(networks), plan)
    kinds = [type(network).__qualname__ for network in networks.values()]
    return Networks(name, pipeline, digest(VERSION, plan.model_dump_json(), *kinds, fingerprint), **facts)


@dataclass(frozen=True)
class EvaluatedFiles:
    """All that an evaluation is made of.

    Attributes:
        ours: the weights in question.
        ablations: name -> weights that are scored like ours.
        direct: a direct regression network's file, or None.
    """

    ours: WeightFiles
    ablations: Mapping[str, WeightFiles]
    direct: Path | None

    @classmethod
    def of(cls, weights: Path | None, ablations: Mapping[str, Path], direct: Path | None) -> EvaluatedFiles:
        """From folders; without `weights` ours are those that ship with dofkit.

        Raises:
            DofkitError: a folder lacks what it is given for.
        """
        ours = weights or SHIPPED
        others = {name: WeightFiles.of(folder, ours) for name, folder in ablations.items()}
        return cls(WeightFiles.of(ours), others, direct_file(direct) if direct else None)

    def sha256(self) -> dict[str, Any]:
        """Of every file."""
        hashes: dict[str, Any] = {"ours": self.ours.sha256()}
        hashes |= {name: files.sha256() for name, files in self.ablations.items()}
        return {**hashes, "direct regression": file_sha256(self.direct)} if self.direct else hashes

    def methods(self) -> list[Method]:
        """Every method, in the order of the table.

        Raises:
            DofkitError: two have one name, or a file is damaged.
        """
        ours = self.ours.networks("ours")
        methods: list[Method] = [ours, *(Classical(renderer) for renderer in CLASSICAL)]
        methods += [OtherUpsampling(ours, upsampler) for upsampler in UPSAMPLERS]
        if self.direct is not None:
            methods.append(direct_method(self.direct, self.ours))
        facts = {"group": Group.ABLATION, "source": "networks trained otherwise", "kinds": TRUE_AND_CORRUPTED}
        methods += [files.networks(name, **facts) for name, files in self.ablations.items()]
        methods.append(Unblurred())
        check_distinct(methods)
        return methods


def check_distinct(methods: Sequence[Method]) -> None:
    """Refuse two methods of one name.

    Raises:
        DofkitError: there are such.
    """
    names = [method.name for method in methods]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DofkitError(f"two methods are called {twice!r}; give the ablation another name")


def direct_file(path: Path) -> Path:
    """The file of a direct regression network: a file itself, or `direct.safetensors` in a folder.

    Raises:
        DofkitError: there is none.
    """
    candidates = [path / "direct.safetensors", path / "lens_blur.safetensors"] if path.is_dir() else [path]
    found = next((file for file in candidates if file.is_file()), None)
    if found is None:
        raise DofkitError(f"no direct regression network at {path}; give its .safetensors file or the folder with it")
    return found


def direct_method(file: Path, weights: WeightFiles) -> Networks:
    """The direct regression network at the lowest level, our guided upsampling above it.

    Raises:
        DofkitError: the file is damaged or of another network.
    """
    upsampling = weights.load(Stage.GUIDED_UPSAMPLING)
    networks = {Stage.LENS_BLUR: load_direct(file), Stage.GUIDED_UPSAMPLING: upsampling}
    fingerprint = digest(file_sha256(file), weights.sha256()[Stage.GUIDED_UPSAMPLING.value])
    source = "a U-Net that regresses colours (Isola et al. 2017), then our guided upsampling"
    return networks_method("direct regression", networks, fingerprint, group=Group.REPLACED, source=source)


def load_direct(file: Path) -> DirectBlurNet:
    """Rebuild the network from its safetensors file, whose metadata hold its configuration.

    Raises:
        DofkitError: the file is damaged or of another network.
    """
    try:
        network = load_network(file, Stage.LENS_BLUR, DIRECT_ONLY)
    except DofkitError as error:
        raise DofkitError(f"{file} holds no direct regression network ({error}); give the file of one") from error
    assert isinstance(network, DirectBlurNet)
    return network
