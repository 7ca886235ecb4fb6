"""`dofkit doctor`: versions, and what works on this machine. Imports nothing heavy: it reads installed metadata."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from ._options import HintedChoice, json_option

if TYPE_CHECKING:
    from ..runtime_ref.backends import Backend

# What a user wants to do -> (the extras that bring it, the packages it needs).
ABILITIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "read and write photos, HEIC included": ("", ("Pillow", "pillow-heif")),
    "inspect bundles": ("", ("pydantic", "safetensors")),
    "train": ("train", ("torch", "lightning", "torchmetrics", "tensorboard", "scipy", "scikit-image")),
    "run and check ONNX": ("onnx", ("onnxruntime", "scikit-image")),
    "run and check TFLite": ("tflite", ("ai-edge-litert", "scikit-image")),
    "find sensitive layers": ("all", ("torch", "ai-edge-quantizer", "onnxruntime", "matplotlib")),
    "evaluate Core ML packages": ("coreml", ("coremltools", "scikit-image")),
    "run and check Core AI": ("coreai", ("coreai-core", "scikit-image")),
    "export to Core ML": ("train,coreml,report", ("torch", "coremltools", "Jinja2", "scikit-image")),
    "export to TFLite": ("train,tflite,report", ("torch", "litert-torch", "ai-edge-quantizer", "Jinja2")),
    "export to Core AI": ("train,coreai,report", ("torch", "coreai-core", "coreai-torch", "Jinja2")),
    "export to ONNX": ("train,onnx,report", ("torch", "onnx", "onnxscript", "Jinja2")),
}

# Platform of a kit, the programs that its test needs, and what brings them.
TOOLCHAINS = (
    ("the web", ("node", "npm"), "apt-get install nodejs npm"),
    ("Android", ("java", "kotlinc"), "apt-get install openjdk-17-jdk-headless; npm's kotlin-compiler has bin/kotlinc"),
    (
        "iOS",
        ("swift",),
        "on a Mac install Xcode, on Debian 13 apt-get install swiftlang; PATH=/usr/libexec/swift/bin:$PATH",
    ),
)

# As `devices.registry` has them, which imports more than `--help` should.
DEVICES = ("arm64", "browser")

# Versions that do harm without a word -> what they do, and the way out.
BAD_VERSIONS = {
    ("coreai-torch", "0.4.0"): ("its models are refused by later betas of iOS 27", "pip install 'coreai-torch>=0.4.3'"),
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
    findings += _toolchains()
    findings += _known_bad()
    is_mac = sys.platform == "darwin"
    findings.append(
        Finding(
            "run Core ML itself", is_mac, {}, "" if is_mac else "exists on macOS only; packages are evaluated instead"
        )
    )
    return findings


def _toolchains() -> list[Finding]:
    """What compiles or runs the tests of the kits that `dofkit kit` writes."""
    lacking = [
        (name, [p for p in programs if shutil.which(p) is None], remedy) for name, programs, remedy in TOOLCHAINS
    ]
    return [
        Finding(f"test a kit for {name}", not missing, {}, f"missing {', '.join(missing)}: {remedy}" if missing else "")
        for name, missing, remedy in lacking
    ]


def _known_bad() -> list[Finding]:
    """A line for each installed package whose version is known to do harm."""
    return [
        Finding(f"{package} is fit for use", False, {package: version}, f"{says}: {remedy}")
        for (package, version), (says, remedy) in BAD_VERSIONS.items()
        if _version(package) == version
    ]


def _numpy_for_coreml() -> Finding:
    """coremltools 9.0 cannot trace with numpy >= 2.4 (apple/coremltools #2633)."""
    version = importlib.metadata.version("numpy")
    fits = tuple(int(part) for part in version.split(".")[:2]) < (2, 4)
    remedy = "" if fits else "coremltools 9.0 cannot trace with it: pip install 'numpy<2.4'"
    return Finding("numpy fits coremltools", fits, {"numpy": version}, remedy)


def _backends() -> list[dict[str, Any]]:
    """What computes files here: every backend with its facts, its version, and what it lacks."""
    from ..devices.registry import devices_here
    from ..runtime_ref.backends import BACKENDS
    from ..train.backend import pytorch

    elsewhere = [one for device in devices_here() for one in device.backends]
    return [_described(one) for one in (*BACKENDS, pytorch(), *elsewhere)]


def _described(one: Backend) -> dict[str, Any]:
    facts, absent = one.facts, one.available()
    return {
        "id": facts.id,
        "title": facts.title,
        "library": facts.package or facts.library,
        "version": one.version(),
        "opens": [target.value for target in facts.targets],
        "device": facts.device,
        "delegate": facts.delegate,
        "arithmetic": facts.arithmetic.value,
        "shows": facts.shows,
        "needs": facts.needs,
        "available": absent is None,
        # What cannot be told before a file is opened (a GPU) is said beforehand.
        "remedy": str(absent) if absent is not None else facts.remedy,
    }


@click.command()
@click.option(
    "--install", "installed", type=HintedChoice(DEVICES), multiple=True,
    help="Fetch what this device needs beside Python packages, into the cache folder ($DOFKIT_CACHE).",
)  # fmt: skip
@json_option
def command(installed: tuple[str, ...], as_json: bool) -> None:
    """Show versions and what works here, with the command that mends what does not; and every backend (--backend)."""
    from .. import __version__
    from . import _console

    if installed:
        _install(installed)
        return
    findings, backends = _diagnose(), _backends()
    if as_json:
        _console.print_json(
            {
                "dofkit": __version__,
                "python": platform.python_version(),
                "platform": platform.platform(),
                "findings": [asdict(finding) for finding in findings],
                "backends": backends,
            }
        )
        return
    _print_findings(f"dofkit {__version__}, Python {platform.python_version()}, {platform.platform()}", findings)
    _print_backends(backends)


def _install(names: tuple[str, ...]) -> None:
    from ..devices.registry import install
    from . import _console

    def say(line: str) -> None:
        _console.stdout().print(line, markup=False, highlight=False)

    for name in dict.fromkeys(names):
        install(name, say)
        say(f"{name}: ready, use it with --device {name}")


def _print_findings(title: str, findings: list[Finding]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from . import _console

    table = Table(title=title, title_justify="left")
    for name in ("ability", "works", "versions", "remedy"):
        table.add_column(name)
    for finding in findings:
        versions = ", ".join(f"{package} {version}" for package, version in finding.versions.items())
        table.add_row(finding.ability, _mark(finding.works), versions, escape(finding.remedy))
    _console.stdout().print(table)


def _print_backends(backends: list[dict[str, Any]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from . import _console

    table = Table(title="Backends: what computes exported files", title_justify="left")
    for name in ("backend", "opens", "on", "floats", "here", "version", "remedy, or what it needs besides"):
        table.add_column(name)
    for one in backends:
        opens = ", ".join(one["opens"])
        version = f"{one['library']} {one['version']}".strip() if one["version"] else ""
        remedy = escape(one["remedy"])
        here = "[yellow]perhaps[/yellow]" if one["available"] and remedy else _mark(one["available"])
        table.add_row(one["id"], opens, one["device"], one["arithmetic"], here, version, remedy)
    _console.stdout().print(table)


def _mark(works: bool) -> str:
    return "[green]yes[/green]" if works else "[yellow]no[/yellow]"
