"""Depth networks of ONNX files: made plain, one image in and one map out; ONNX Runtime computes the files themselves.

Files are data: operators of other domains, which a library would have to be loaded for, and tensors outside the file's
folder are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...runtime_ref.errors import DofkitError, first_line, require
from ...runtime_ref.pipeline.aspects import Size
from ...runtime_ref.quiet import silence
from ..networks.contract import SizeRule

SUFFIX = ".onnx"
PREFIX = "network."
"""What every name of the file begins with in the graph, so that ours cannot meet it."""
_PURPOSE = "an ONNX file as a depth network"
_LEAST_OPSET = 18  # what dofkit writes itself
_LARGEST = 2**31 - 1  # bytes that one protobuf message can hold
_MAPS = ("predicted_depth", "disparity", "depth")
_ELEMENTS = {1: "float32", 10: "float16"}  # of ONNX's TensorProto.DataType


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    """A file's graph.

    Attributes:
        path: of the file.
        model: the graph with its tensors inside, of opset 18 or newer, all names prefixed.
        input, output: names of the image and the map in it.
        channels_last: whether the image is [1, H, W, 3] instead of [1, 3, H, W].
        half: whether it takes 16-bit floats.
        size: (height, width) of the only image that it takes; None: any, as far as it computes.
    """

    path: Path
    model: Any
    input: str
    output: str
    channels_last: bool
    half: bool
    size: Size | None

    def at(self, size: Size) -> Any:
        """A copy of the model whose image has one size."""
        onnx = require("onnx", "onnx", _PURPOSE)
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        (image,) = (value for value in model.graph.input if value.name == self.input)
        for dimension, side in zip(image.type.tensor_type.shape.dim, self.shape(size), strict=True):
            dimension.dim_value = side
        del model.graph.value_info[:]  # they may name sizes that change
        return model

    def shape(self, size: Size) -> tuple[int, int, int, int]:
        """Of the image, as the file takes it."""
        return (1, *size, 3) if self.channels_last else (1, 3, *size)

    def weights(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Name and numbers of every stored tensor."""
        helper = require("onnx.numpy_helper", "onnx", _PURPOSE)
        for tensor in self.model.graph.initializer:
            yield tensor.name, np.asarray(helper.to_array(tensor))


class OnnxNetwork(nn.Module):
    """An ONNX file as a network: ONNX Runtime computes the file itself.

    Attributes:
        graph: of the file.
        weights: its numbers, for whoever counts them; ONNX Runtime has its own.
    """

    def __init__(self, graph: OnnxGraph) -> None:
        super().__init__()
        self.graph = graph
        floats = [values for _, values in graph.weights() if values.dtype.kind == "f"]
        self.weights = nn.ParameterList(
            nn.Parameter(torch.from_numpy(np.array(values)), requires_grad=False) for values in floats
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Normalised image [1, 3, H, W] → the file's map [1, 1, h, w].

        Raises:
            DofkitError: the file cannot compute this size, or gives no map.
        """
        values = image.detach().numpy().astype(np.float16 if self.graph.half else np.float32)
        if self.graph.channels_last:
            values = np.ascontiguousarray(values.transpose(0, 2, 3, 1))
        height, width = image.shape[2:]
        session = self._session
        try:
            with silence():
                (found,) = session.run([self.graph.output.removeprefix(PREFIX)], {self._input: values})
        except Exception as error:  # ONNX Runtime's own classes
            raise DofkitError(
                f"{self.graph.path.name} cannot compute an image of {height}×{width} ({first_line(error)[:160]}); give "
                "a size that it takes with --depth-size HxW"
            ) from error
        return torch.from_numpy(np.asarray(found, np.float32).reshape(_map_shape(self.graph.path, np.shape(found))))

    def map_shape(self, size: Size) -> tuple[int, int, int, int]:
        """Of the map that it gives for an image of a size."""
        return tuple(self(torch.zeros(1, 3, *size)).shape)  # pyright: ignore[reportReturnType]

    @property
    def _input(self) -> str:
        return self.graph.input.removeprefix(PREFIX)

    @cached_property
    def _session(self) -> Any:
        runtime = require("onnxruntime", "onnx", _PURPOSE)
        options = runtime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, torch.get_num_threads()
        try:
            return runtime.InferenceSession(str(self.graph.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own classes
            raise DofkitError(
                f"{self.graph.path.name} cannot be loaded by ONNX Runtime ({first_line(error)[:160]}); export it again"
            ) from error


def _map_shape(path: Path, shape: Sequence[int]) -> tuple[int, int, int, int]:
    """[1, 1, h, w] of [1, 1, h, w], [1, h, w, 1], [1, h, w] or [h, w].

    Raises:
        DofkitError: it is no map.
    """
    sides = list(shape)
    if len(sides) == 4 and sides[0] == 1 and 1 in (sides[1], sides[3]):
        sides = sides[2:] if sides[1] == 1 else sides[1:3]
    elif len(sides) == 3 and sides[0] == 1:
        sides = sides[1:]
    if len(sides) != 2:
        raise DofkitError(f"{path.name} gives {list(shape)}, not one map [1, 1, height, width]; export it so")
    return 1, 1, sides[0], sides[1]


def open_onnx(path: Path, example: Size | None) -> OnnxNetwork:
    """The network of a file; it was tried on a grey image.

    Args:
        path: of the file.
        example: (height, width) of an image, for a file that takes several sizes.

    Raises:
        MissingExtraError: ONNX or ONNX Runtime is not installed.
        DofkitError: it is no ONNX file, or none of one image and one map; what it needs lies elsewhere; ONNX Runtime
            cannot compute it; it takes several sizes, and none was named.
    """
    require("onnxruntime", "onnx", _PURPOSE)
    graph = _read(path)
    size = graph.size or example
    if size is None:
        raise DofkitError(f"{path.name} takes images of several sizes; say which with --depth-size HxW")
    if problem := SizeRule().problem(*size):
        raise DofkitError(f"{path.name}: {problem}")
    network = OnnxNetwork(graph).eval()
    network.map_shape(size)
    return network


def files_of(path: Path) -> list[Path]:
    """The file and those that its tensors lie in.

    Raises:
        DofkitError: it is no ONNX file, or they lie outside its folder or are missing.
    """
    return [path, *dict.fromkeys(_external(path, _loaded(path)))]


def _read(path: Path) -> OnnxGraph:
    onnx = require("onnx", "onnx", _PURPOSE)
    model = _loaded(path)
    sizes = [file.stat().st_size for file in [path, *set(_external(path, model))]]
    if sum(sizes) > _LARGEST:
        raise DofkitError(f"{path.name} has {sum(sizes) / 1e9:.1f} GB; one ONNX file holds 2, as exports write them")
    _refuse_other_domains(path, model)
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
        with silence():
            plain = _plain(onnx, model)
    except DofkitError:
        raise
    except Exception as error:  # onnx' own classes share no public base
        raise DofkitError(
            f"{path.name} cannot be read as opset {_LEAST_OPSET} ({first_line(error)[:160]}); export it again with "
            f"opset_version={_LEAST_OPSET}"
        ) from error
    image, output = _image(path, plain.graph), _output(path, plain.graph)
    tensor = image.type.tensor_type
    sides = [dimension.dim_value or None for dimension in tensor.shape.dim]
    last = sides[1] != 3
    height, width = sides[1:3] if last else sides[2:]
    return OnnxGraph(
        path=path,
        model=plain,
        input=image.name,
        output=output,
        channels_last=last,
        half=_ELEMENTS[tensor.elem_type] == "float16",
        size=None if height is None or width is None else (height, width),
    )


def _loaded(path: Path) -> Any:
    """The model without tensors of other files.

    Raises:
        DofkitError: it is none.
    """
    onnx = require("onnx", "onnx", _PURPOSE)
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:
        raise DofkitError(f"{path} is no ONNX file, or a part of one; copy or export it again") from error
    if not model.graph.node:
        raise DofkitError(f"{path} is no ONNX file: it computes nothing; export it again")
    return model


def _external(path: Path, model: Any) -> Iterator[Path]:
    """The files that tensors lie in.

    Raises:
        DofkitError: one lies elsewhere, or is missing.
    """
    folder = path.parent.resolve()
    for tensor in _tensors(model.graph):
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), None)
        if tensor.data_location != tensor.EXTERNAL or location is None:
            continue
        file = (folder / location).resolve()
        if not file.is_relative_to(folder):
            raise DofkitError(f"{path.name} wants tensors from {location!r}, outside its folder; export it again")
        if not file.is_file():
            raise DofkitError(f"{path.name} has its tensors in {location!r}, which is missing; copy it, too")
        yield file


def _tensors(graph: Any) -> Iterator[Any]:
    """Every stored tensor, also those of nodes and of graphs inside nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors)
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _tensors(inner)


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _nodes(inner)


def _refuse_other_domains(path: Path, model: Any) -> None:
    """Refuse operators that are not ONNX's own: a phone's runtime has none of them.

    Raises:
        DofkitError: naming the first.
    """
    own = {"", "ai.onnx", *((function.domain, function.name) for function in model.functions)}
    for node in (*_nodes(model.graph), *(node for function in model.functions for node in function.node)):
        if node.domain not in own and (node.domain, node.op_type) not in own:
            raise DofkitError(
                f"{path.name} calls {node.op_type} of {node.domain}, which is no operator of ONNX's own; export it "
                "without a runtime's optimisations"
            )


def _plain(onnx: Any, model: Any) -> Any:
    """The model without functions and constants in nodes, of a new opset, with prefixed names."""
    from onnx import compose, inliner, version_converter

    if model.functions:
        model = inliner.inline_local_functions(model)
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if opset < _LEAST_OPSET:
        model = version_converter.convert_version(model, _LEAST_OPSET)
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in stored]  # old files list weights there
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    _store_constants(model.graph)
    return compose.add_prefix(model, PREFIX)


def _store_constants(graph: Any) -> None:
    """Constants of nodes as stored tensors, where all else looks for them."""
    left = []
    for node in graph.node:
        value = next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)
        if node.op_type == "Constant" and value is not None:
            graph.initializer.add().CopyFrom(value)
            graph.initializer[-1].name = node.output[0]
        else:
            left.append(node)
    kept = [type(node).FromString(node.SerializeToString()) for node in left]
    del graph.node[:]
    graph.node.extend(kept)


def _image(path: Path, graph: Any) -> Any:
    """The graph's only input, if it is an image.

    Raises:
        DofkitError: saying what it takes instead.
    """
    names = ", ".join(value.name.removeprefix(PREFIX) for value in graph.input)
    if len(graph.input) != 1:
        raise DofkitError(f"{path.name} takes {names or 'nothing'}; save a graph of one image")
    (value,) = graph.input
    tensor = value.type.tensor_type
    sides = [dimension.dim_value or None for dimension in tensor.shape.dim]
    if len(sides) != 4 or sides[0] not in (1, None) or 3 not in (sides[1], sides[3]):
        shape = [dimension.dim_param or dimension.dim_value or "?" for dimension in tensor.shape.dim]
        raise DofkitError(
            f"{path.name} takes {names} {shape}, not one image [1, 3, height, width] or [1, height, width, 3]; save it "
            "so, with the channels fixed"
        )
    if tensor.elem_type not in _ELEMENTS:
        raise DofkitError(f"{path.name} takes {names} in numbers that are no 32- or 16-bit floats; cast inside it")
    return value


def _output(path: Path, graph: Any) -> str:
    """The name of the map: of the only output, or of the one that is called so.

    Raises:
        DofkitError: none is.
    """
    names = [value.name for value in graph.output]
    called = [name for name in names if name.removeprefix(PREFIX) in _MAPS]
    if len(names) == 1 or called:
        return called[0] if called else names[0]
    there = ", ".join(name.removeprefix(PREFIX) for name in names)
    raise DofkitError(f"{path.name} gives {there}; call the map {_MAPS[0]}, or save a graph of it alone")
