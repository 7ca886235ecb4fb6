"""What a check compares with: golden vectors, PyTorch, or another bundle, on the bundle's pictures or yours.

Nothing that needs PyTorch is imported before it is asked for: a check against golden vectors runs without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime_ref.backends import Session, default_backend
from ..runtime_ref.backends.own_process import OwnProcess
from ..runtime_ref.backends.stages import stage_sessions
from ..runtime_ref.bundle import Bundle, file_sha256
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.parity.cases import Case, Picture, compute_case, golden_cases
from ..runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage
from ..runtime_ref.target import Precision, Target
from ..train.brought.naming import OPTIONS
from ..train.shipped import SHIPPED, has_weights, weights_file

if TYPE_CHECKING:
    import torch

    from ..runtime_ref.bundle import NetworkEntry
    from ..runtime_ref.parity.diagnosis.explain import Reference
    from ..train.brought.networks import Brought
    from ..train.networks.registry import Architectures

GOLDEN, PYTORCH = "golden", "pytorch"


def cases_against(
    bundle: Bundle,
    against: str | None,
    images: Path | None,
    weights: Path | None,
    folder: Path,
    watch: Callable[[str], None],
    brought: Mapping[Stage, Brought] | None = None,
) -> list[Case]:
    """The cases of a check.

    Args:
        bundle: what is checked.
        against: "golden", "pytorch", or another bundle's folder; None: golden, or pytorch where `images` are given.
        images: a folder with photos, compared beside the bundle's own pictures.
        weights: of the PyTorch networks; None: those shipped.
        folder: where computed results go.
        watch: called with a line before each picture.
        brought: networks that the bundle was exported from instead of weights.

    Raises:
        DofkitError: golden vectors of the user's photos are asked for; the weights or the other bundle do not fit.
    """
    against = against or (PYTORCH if images else GOLDEN)
    if against == GOLDEN:
        if images is not None:
            raise DofkitError(
                f"--against golden: there are golden vectors of the bundle's own pictures only, not of {images}; "
                "take --against pytorch or another bundle"
            )
        return golden_cases(bundle)
    from .further import FurtherSizes, pipeline_and_further

    with _reference(bundle, against, weights, brought) as sessions:
        cases = []
        sessions, further = pipeline_and_further(sessions, bundle.manifest.plan, FurtherSizes.of(bundle))
        pictures = chain(pictures_of(bundle, images) if images else (), _own_pictures(bundle))
        for number, picture in enumerate(pictures):
            watch(f"{'PyTorch' if against == PYTORCH else against} {picture.name}")
            path = folder / f"case-{number}.safetensors"
            same = sum(case.name.partition(" (")[0] == picture.name for case in cases)
            named = replace(picture, name=f"{picture.name} ({same + 1})") if same else picture
            cases.append(compute_case(named, sessions, bundle.manifest.plan, path, further))
    return cases


def pictures_of(bundle: Bundle, images: Path | None) -> Iterator[Picture]:
    """The user's photos, read one after the other; without a folder the photos that the bundle carries."""
    if images is None:
        yield from (picture for picture in _own_pictures(bundle) if picture.kind == "photo")
        return
    from .calibration import find_photos
    from .golden import user_picture

    yield from (user_picture(path) for path in find_photos(images))


def _own_pictures(bundle: Bundle) -> Iterator[Picture]:
    for case in golden_cases(bundle):
        yield Picture(case.name, case.kind, case.arrays().photo, case.note)


@contextmanager
def _reference(
    bundle: Bundle, against: str, weights: Path | None, brought: Mapping[Stage, Brought] | None
) -> Iterator[Mapping[Stage, Session]]:
    """The sessions of the reference, all stages."""
    if against == PYTORCH:
        from ..train.session import torch_sessions
        from .further import FurtherSizes
        from .preview import preview_networks

        networks, preview = matching_networks(bundle, weights, brought=brought), FurtherSizes.of(bundle).preview
        if preview is not None:
            networks |= preview_networks(networks, bundle.manifest.plan, preview)
        yield torch_sessions(networks)
        return
    other = Bundle.open(Path(against))
    if other.manifest.plan != bundle.manifest.plan:
        raise DofkitError(
            f"{against} has other tiles than {bundle.root}; export both with the same --tile and --depth-size"
        )
    target, precision = _most_exact(other)
    with OwnProcess() as transport:
        opened = default_backend(target)
        models = other.models(target, precision) + other.further_depths(target, precision)
        yield stage_sessions(models, other.manifest.plan, partial(transport.open, opened, other))


def _most_exact(bundle: Bundle) -> tuple[Target, Precision]:
    """The first complete variant of a bundle in the order of precision, ONNX, TFLite, Core ML, Core AI."""
    complete = [variant for variant in bundle.variants() if set(PIPELINE_STAGES) <= _stages(bundle, variant)]
    if not complete:
        raise DofkitError(f"{bundle.root} lacks stages; a reference needs all three")
    order, targets = list(Precision), [Target.ONNX, Target.TFLITE, Target.COREML, Target.COREAI]
    return min(complete, key=lambda variant: (order.index(variant[1]), targets.index(variant[0])))


def _stages(bundle: Bundle, variant: tuple[Target, Precision]) -> set[Stage]:
    return {model.stage for model in bundle.models(*variant)}


def matching_networks(
    bundle: Bundle,
    weights: Path | None,
    architectures: Architectures | None = None,
    brought: Mapping[Stage, Brought] | None = None,
) -> dict[Stage, torch.nn.Module]:
    """The PyTorch networks that a bundle was exported from.

    Raises:
        MissingExtraError: PyTorch is not installed.
        DofkitError: the bundle was exported from other weights.
    """
    from ..runtime_ref.errors import require

    require("torch", "train", "comparing with PyTorch")
    from ..train.brought.taking_part import NetworkSources
    from ..train.networks.registry import ARCHITECTURES

    stages = tuple(bundle.manifest.networks)
    sources = NetworkSources(weights or SHIPPED, stages, brought or {}, architectures or ARCHITECTURES)
    networks = sources.networks()
    for stage, entry in bundle.manifest.networks.items():
        if sources.sha256(stage) != entry.weights_sha256:
            raise DofkitError(
                f"{bundle.root}: {stage} was exported from "
                f"{_other_weights(stage, entry, weights, stage in sources.brought)}"
            )
        if stage in sources.brought and sources.brought[stage].origin.kind != entry.gives:
            raise DofkitError(
                f"{bundle.root}: {stage} was exported as one that gives {entry.gives}; give --depth-kind so"
            )
    return networks


def _other_weights(stage: Stage, entry: NetworkEntry, weights: Path | None, brought: bool) -> str:
    """Which weights a stage was exported from instead, and how to give them."""
    source, option = entry.configuration.get("source"), OPTIONS.get(stage, "--depth-model")
    if source is not None:
        return f"{source}; give it with {option}" + (", not another one" if brought else "")
    whose = str(weights) if weights else "those that ship with dofkit"
    return f"weights; leave {option} out" if brought else f"other weights than {whose}; give --weights"


def reference_at_hand(
    bundle: Bundle, weights: Path | None, brought: Mapping[Stage, Brought] | None = None
) -> Callable[[], Reference] | None:
    """Gives PyTorch, if it is installed and the bundle was exported from these weights; imported when it is called."""
    folder = weights or SHIPPED
    sums = {stage: each.sha256 for stage, each in (brought or {}).items()}
    sums |= {
        stage: file_sha256(weights_file(stage, folder))
        for stage in bundle.manifest.networks
        if stage not in sums and has_weights(stage, folder)
    }
    fits = all(sums.get(stage) == entry.weights_sha256 for stage, entry in bundle.manifest.networks.items())
    if not fits or find_spec("torch") is None:
        return None

    @cache
    def load() -> Reference:
        from ..train.reference import PyTorchReference

        return PyTorchReference(matching_networks(bundle, weights, brought=brought))

    return load
