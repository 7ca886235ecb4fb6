"""`dofkit doctor`: versions, and what works on this machine. Imports nothing heavy: it reads installed metadata."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from dataclasses import asdict, dataclass

import click

from ._options import json_option

# What a user wants to do -> (the extras that bring it, the packages it needs).
ABILITIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "read and write photos, HEIC included": ("", ("Pillow", "pillow-heif")),
    "inspect bundles": ("", ("pydantic", "safetensors")),
    "train": ("train", ("torch", "lightning", "torchmetrics", "tensorboard", "scipy", "scikit-image")),
    "run and check ONNX": ("onnx", ("onnxruntime", "scikit-image")),
    "run and check TFLite": ("tflite", ("ai-edge-litert", "scikit-image")),
    "find sensitive layers": ("all", ("torch", "ai-edge-quantizer", "onnxruntime", "matplotlib")),
    "evaluate Core ML packages": ("coreml", ("coremltools", "scikit-image")),
    "export to Core ML": ("train,coreml,report", ("torch", "coremltools", "Jinja2", "scikit-image")),
    "export to TFLite": ("train,tflite,report", ("torch", "litert-torch", "ai-edge-quantizer", "Jinja2")),
    "export to ONNX": ("train,onnx,report", ("torch", "onnx", "onnxscript", "Jinja2")),
}


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis; `remedy` is empty when it works."""

    ability: str
    works: bool
    versions: dict[str, str]
    remedy: str


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _diagnose() -> list[Finding]:
    findings = []
    for ability, (extras, packages) in ABILITIES.items():
        versions = {package: version for package in packages if (version := _version(package)) is not None}
        missing = [package for package in packages if package not in versions]
        install = f"pip install 'dofkit[{extras}]'" if extras else "pip install dofkit"
        findings.append(
            Finding(ability, not missing, versions, f"missing {', '.join(missing)}: {install}" if missing else "")
        )
    findings.append(_numpy_for_coreml())
    tensorflow = _version("tensorflow") or _version("tensorflow-cpu")
    findings.append(
        Finding(
            "ask TensorFlow for a second opinion",
            tensorflow is not None,
            {"tensorflow": tensorflow} if tensorflow else {},
            "" if tensorflow else "pip install tensorflow; the other opinions do without",
        )
    )
    is_mac = sys.platform == "darwin"
    findings.append(
        Finding(
            "run Core ML itself", is_mac, {}, "" if is_mac else "exists on macOS only; packages are evaluated instead"
        )
    )
    return findings


def _numpy_for_coreml() -> Finding:
    """coremltools 9.0 cannot trace with numpy >= 2.4 (apple/coremltools #2633)."""
    version = importlib.metadata.version("numpy")
    fits = tuple(int(part) for part in version.split(".")[:2]) < (2, 4)
    remedy = "" if fits else "coremltools 9.0 cannot trace with it: pip install 'numpy<2.4'"
    return Finding("numpy fits coremltools", fits, {"numpy": version}, remedy)


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Show versions and what works here, with the command that mends what does not."""
    from rich.table import Table

    from .. import __version__
    from . import _console

    findings = _diagnose()
    if as_json:
        _console.print_json(
            {
                "dofkit": __version__,
                "python": platform.python_version(),
                "platform": platform.platform(),
                "findings": [asdict(finding) for finding in findings],
            }
        )
        return
    table = Table(
        title=f"dofkit {__version__}, Python {platform.python_version()}, {platform.platform()}", title_justify="left"
    )
    for name in ("ability", "works", "versions", "remedy"):
        table.add_column(name)
    for finding in findings:
        mark = "[green]yes[/green]" if finding.works else "[yellow]no[/yellow]"
        versions = ", ".join(f"{package} {version}" for package, version in finding.versions.items())
        table.add_row(finding.ability, mark, versions, finding.remedy.replace("[", "\\["))
    _console.stdout().print(table)
