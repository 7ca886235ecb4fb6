"""What somebody meant who typed a name that is none of ours: a near spelling, or what other tools call the same."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# What other toolkits call our targets and precisions -> ours. Where theirs may mean several, all are named.
_ELSEWHERE = {
    "tflite": ("litert", "tensorflow-lite", "tensorflowlite", "tf-lite", "lite", "tf", "tensorflow", "android"),
    "coreml": ("core-ml", "mlpackage", "mlprogram", "mlmodel", "coremltools", "apple", "ios"),
    "coreai": ("core-ai", "aimodel", "coreai-torch", "ios27"),
    "onnx": ("onnxruntime", "ort", "web"),
    "fp32": ("float32", "f32", "float", "full", "single"),
    "fp16": ("float16", "f16", "half"),
    "w8": ("int8", "i8", "uint8", "8bit", "quantized", "quantised", "w8a16", "w8a32", "weight-only", "int8-weights"),
    "dynamic": ("int8", "i8", "dynamic-int8", "dynamic-range", "dynamic-quant", "quantized", "quantised"),
    "w8a8": ("int8", "i8", "uint8", "8bit", "static", "full-int8", "full-integer", "ptq", "quantized", "quantised"),
    "w4": ("int4", "i4", "4bit", "w4a16", "w4a32"),
    "mixed": ("mixed-precision", "w8a8-mixed"),
    "palette8": ("lut8", "palettized", "palettised", "kmeans"),
    "palette6": ("lut6", "palettized", "palettised", "kmeans"),
    "palette4": ("lut4", "palettized", "palettised", "kmeans"),
}


def meant(word: str, names: Iterable[str]) -> list[str]:
    """Those of the names that the word may stand for, the likeliest first; none where nothing is like it."""
    names, plain = list(names), word.lower().replace("_", "-").strip("- ")
    known = [ours for ours, others in _ELSEWHERE.items() if ours in names and plain in others]
    return known or difflib.get_close_matches(plain, names, n=3, cutoff=0.6)


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """` Did you mean …?`, or nothing where no name is like the word."""
    found = meant(word, names)
    if not found:
        return ""
    return f" Did you mean {' or '.join(filter(None, (', '.join(found[:-1]), found[-1])))}?"
