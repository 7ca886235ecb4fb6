"""The functions that `dofkit`'s face offers to Python programs: what the commands do, without the command line.

Everything heavy is imported when a function is called.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from .runtime_ref.errors import DofkitError, require
from .runtime_ref.target import Precision, Target

Kind = TypeVar("Kind", Target, Precision)

if TYPE_CHECKING:
    from .runtime_ref.bundle import Bundle
    from .runtime_ref.bundle.manifest import ModelEntry
    from .runtime_ref.pipeline.portrait import PortraitPipeline
    from .runtime_ref.pipeline.stage import Stage
    from .train.brought.naming import DepthModelName, NetworkNames


def open_pipeline(
    bundle: str | Path | None = None,
    *,
    target: Target | str | None = None,
    precision: Precision | str | None = None,
    weights: str | Path | None = None,
    threads: int = 2,
    depth: DepthModelName | str | None = None,
    lens_blur: str | None = None,
    upsampling: str | None = None,
) -> PortraitPipeline:
    """The portrait pipeline over an exported bundle, or over PyTorch.

    Args:
        bundle: folder of a bundle; its manifest and files are verified. Default: PyTorch computes.
        target: which of the bundle's files, `coreml`, `tflite`, `onnx` or `coreai`. Default: the first that
            is there of ONNX, TFLite, Core ML, Core AI.
        precision: which of the bundle's precisions. Default: the first of the target.
        weights: folder of weights for PyTorch; the text "product" stands for those that ship for products. Default:
            all that ship with dofkit.
        threads: CPU threads of a bundle's runtime; PyTorch's are one number for the whole process, its own.
        depth: a depth network for PyTorch, in place of the weights': a name on Hugging Face's hub, a folder of
            transformers, a file; see `dofkit.train.brought`.
        lens_blur, upsampling: networks for PyTorch in place of the weights' of these stages: a `.pt2` of torch.export,
            or the name of a network that an installed package brings.

    Raises:
        DofkitError: options that exclude each other, a bundle that is damaged or lacks what is asked for, or a runtime
            that is not installed.
    """
    from .train.brought.naming import NetworkNames

    brings = NetworkNames.of(depth, lens_blur, upsampling)
    if bundle is None:
        for name, value in (("target", target), ("precision", precision)):
            if value is not None:
                raise DofkitError(f"{name} {value} chooses a file of a bundle; give the bundle, too, or leave it out")
        from .train.shipped import named_weights

        return _over_pytorch(named_weights(weights) if isinstance(weights, str) else weights, brings)
    for name, value in (("weights", weights), ("a network of yours", brings or None)):
        if value is not None:
            raise DofkitError(f"a bundle and {name} exclude each other; give one of them")
    return _over_bundle(Path(bundle), _member(Target, target), _member(Precision, precision), threads)


def _member(kind: type[Kind], value: Kind | str | None) -> Kind | None:
    try:
        return None if value is None else kind(value)
    except ValueError:
        names = ", ".join(str(member) for member in kind)
        raise DofkitError(f"{value!r} is no {kind.__name__.lower()}; there are {names}") from None


def _over_pytorch(weights: Path | None, brings: NetworkNames) -> PortraitPipeline:
    require("torch", "train", "rendering without a bundle")
    from .runtime_ref.pipeline.portrait import PortraitPipeline
    from .train.brought.taking_part import NetworkSources
    from .train.networks.registry import ARCHITECTURES
    from .train.session import plan_of, torch_sessions
    from .train.weights import SHIPPED

    networks = NetworkSources(weights or SHIPPED, brought=brings.open()).networks()
    contracts = {stage: ARCHITECTURES.contract_of(network) for stage, network in networks.items()}
    return PortraitPipeline(torch_sessions(networks), plan_of(contracts))


def _over_bundle(folder: Path, target: Target | None, precision: Precision | None, threads: int) -> PortraitPipeline:
    from .runtime_ref.backends import open_session
    from .runtime_ref.backends.stages import stage_sessions
    from .runtime_ref.bundle import Bundle
    from .runtime_ref.pipeline.portrait import PortraitPipeline

    opened = Bundle.open(folder)
    models, plan = _models(opened, target, precision), opened.manifest.plan
    return PortraitPipeline(stage_sessions(models, plan, partial(open_session, opened, threads=threads)), plan)


def _models(bundle: Bundle, target: Target | None, precision: Precision | None) -> list[ModelEntry]:
    """One model for each stage, and the depth network at the plan's further sizes.

    Raises:
        DofkitError: the bundle has none for a stage; the line says what it has.
    """
    from .runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage

    order = (Target.ONNX, Target.TFLITE, Target.COREML, Target.COREAI) if target is None else (target,)
    found: dict[Stage, ModelEntry] = {}
    for chosen in order:
        models = reversed(bundle.models(chosen, precision))
        found = {model.stage: model for model in models if model.stage in PIPELINE_STAGES}
        if len(found) == len(PIPELINE_STAGES):
            one = found[Stage.DEPTH].precision
            return [*found.values(), *bundle.further_depths(chosen, one)]
    wanted = " ".join(filter(None, (target.title if target else "", str(precision or "")))) or "complete set of"
    missing = ", ".join(stage.value for stage in PIPELINE_STAGES if stage not in found)
    raise DofkitError(f"{bundle.root}: has no {wanted} models for {missing}; it has {_contents(bundle)}")


def _contents(bundle: Bundle) -> str:
    """What a bundle has, as one writes it on the command line."""
    from .runtime_ref.pipeline.stage import PIPELINE_STAGES

    words = []
    for target, precision in bundle.variants():
        stages = {model.stage for model in bundle.models(target, precision)}
        which = "" if set(PIPELINE_STAGES) <= stages else f" ({', '.join(sorted(map(str, stages)))} only)"
        words.append(f"--target {target} --precision {precision}{which}")
    return "; ".join(words) or "no models"
