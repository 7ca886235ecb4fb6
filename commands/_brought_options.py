"""The options that bring a network of somebody else's, and what is opened by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..runtime_ref.errors import DofkitError, require
from ..runtime_ref.pipeline.aspects import Aspect, Size, size_text
from ..runtime_ref.pipeline.stage import Stage
from ..train.brought.naming import NORMALISATIONS, OPTIONS, DepthModelName, NetworkNames
from ._groups import GroupedOption, given_in_group
from ._options import SIZE, HintedChoice

if TYPE_CHECKING:
    from ..train.brought.networks import Brought

GROUP = "A depth network of yours"
RENDERING = "Rendering networks of yours"
# Those of `train.brought.kinds`, which is not imported for --help; the last two are refused with the reason.
KINDS = ("disparity", "metric", "scale-invariant", "affine-invariant", "canopy-height")


def _option(*names: str, group: str = GROUP, **settings: Any) -> Callable[[Any], Any]:
    return click.option(*names, cls=GroupedOption, group=group, expose_value=False, callback=_kept, **settings)


def depth_model_options(command: Any, own_size: bool = False) -> Any:
    """`--depth-model` and what can be said of it; the command finds them with `brought_networks`.

    Args:
        command: to decorate.
        own_size: it has a `--depth-size` itself.
    """
    sized = _option(
        "--depth-size", type=SIZE, metavar="HxW",
        help="Its input's size, where nobody knows it.  [default: known of most networks]",
    )  # fmt: skip
    options = (
        _option(
            "--depth-model", metavar="NAME|DIR|FILE",
            help="Take this depth network: a name on Hugging Face's hub, a folder that transformers wrote, a .pt2 of "
            "torch.export, a .safetensors of dofkit, an .onnx, or the name of one that a package brings.",
        ),
        _option(
            "--depth-kind", type=HintedChoice(KINDS),
            help="What it gives: disparity, larger is nearer; metric, depth in metres; scale-invariant, depth of "
            "unknown scale.  [default: known of most classes of transformers]",
        ),
        _option(
            "--assume-sign", is_flag=True,
            help="Do not ask photos whether it gives near as near: for random weights.",
        ),
        _option(
            "--depth-normalisation", type=HintedChoice(list(NORMALISATIONS)),
            help="What it wants done to RGB in [0, 1]: none; imagenet, its mean and deviation; half, (x − 0.5)/0.5.  "
            "[default: as the folder says, else none]",
        ),
        *([] if own_size else [sized]),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def brought_options(own_size: bool = False) -> Callable[[Any], Any]:
    """`depth_model_options` and those of the rendering stages; the command finds them with `brought_networks`."""
    options = (
        _option(
            OPTIONS[Stage.LENS_BLUR], group=RENDERING, metavar="FILE|NAME",
            help="Take this network for the lens blur: a .pt2 of torch.export, or the name of one that a package "
            "brings.",
        ),
        _option(
            OPTIONS[Stage.GUIDED_UPSAMPLING], group=RENDERING, metavar="FILE|NAME",
            help="Take this one for the guided upsampling.",
        ),
    )  # fmt: skip

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return depth_model_options(command, own_size)

    return decorate


def _kept(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Keep an option in the context, so that commands need not hand each on."""
    ctx.meta[f"{__name__}.{param.name}"] = value
    return value


def _given(ctx: click.Context, name: str) -> Any:
    return ctx.meta.get(f"{__name__}.{name}")  # a command need not have all of them


def depth_model_name(ctx: click.Context, sizes: Sequence[Size | Aspect] = ()) -> DepthModelName | None:
    """The depth network that a command's options name.

    Args:
        ctx: of the command.
        sizes: that were asked for.

    Raises:
        DofkitError: options without --depth-model.
    """
    model = _given(ctx, "depth_model")
    if model is None:
        for option in given_in_group(ctx, GROUP):
            raise DofkitError(f"{option} says nothing without --depth-model; give it, or leave {option} out")
        return None
    asked = [*sizes, *filter(None, [_given(ctx, "depth_size")])]
    size = next((size for size in asked if not isinstance(size, Aspect)), None)
    return DepthModelName(model, _given(ctx, "depth_kind"), _given(ctx, "depth_normalisation"), size)


def network_names(ctx: click.Context, sizes: Sequence[Size | Aspect] = ()) -> NetworkNames:
    """The networks that a command's options name; see `depth_model_name`."""
    depth = depth_model_name(ctx, sizes)
    names = NetworkNames.of(depth, _given(ctx, "lens_blur_model"), _given(ctx, "upsampling_model"))
    if names:
        require("torch", "train", "a network of yours")
    return names


def brought_networks(
    ctx: click.Context, sizes: Sequence[Size | Aspect] = (), ask_photos: bool = False
) -> dict[Stage, Brought]:
    """What a command's options bring: stage -> network, nothing where none does. What is to be known is printed.

    Args:
        ctx, sizes: as for `depth_model_name`.
        ask_photos: whether a depth network's near is near, unless --assume-sign is given.

    Raises:
        DofkitError: see `NetworkNames.open`; options without --depth-model; photos agree that its near is far.
    """
    licence = ctx.params.get("licence", "")  # of an export
    brought = {stage: each.under(licence) for stage, each in network_names(ctx, sizes).open().items()}
    notes = [f"{OPTIONS[stage]}: {note}" for stage, each in brought.items() for note in each.notes]
    if ask_photos and Stage.DEPTH in brought and not _given(ctx, "assume_sign"):
        from ..export.sign import sign_on_photos

        notes += filter(None, [sign_on_photos(brought[Stage.DEPTH])])
    for note in notes:
        click.echo(f"dofkit: warning: {note}", err=True)
    return brought


def sizes_for(brought: Brought | None, asked: Sequence[Size | Aspect]) -> tuple[Size, ...] | None:
    """The sizes of the depth network's graphs; None: dofkit's usual ones.

    An aspect means about as many pixels as the network was trained on. Without a size a brought network has the graph
    of its training only: with three of a hundred megabytes each nobody would be served.

    Raises:
        DofkitError: a size that the network does not take.
    """
    rule = None if brought is None else brought.contract.size
    if rule is None or not rule.usual:
        return tuple(one.size() if isinstance(one, Aspect) else one for one in asked) or None
    own = rule.usual[0]
    side = (own[0] * own[1]) ** 0.5
    sizes = [one.size(side, rule.multiple) if isinstance(one, Aspect) else one for one in asked]
    for size in sizes:
        if problem := rule.problem(*size):
            raise DofkitError(f"--depth-size {size_text(size)}: {problem}")
    return tuple(sizes) or (own,)
