"""`dofkit estimate`: what a bundle's files would take on a device at best."""

from __future__ import annotations

from pathlib import Path

import click

from ..runtime_ref.target import Precision, Target
from ._options import BUNDLE, PRECISION, TARGET, FiniteFloat, HintedChoice, json_option

# As `devices.profile.DeviceUnit` has them, which imports more than `--help` should.
UNITS = ("cpu", "gpu", "nnapi", "neural-engine", "webgpu")
# As `devices.estimate_validation` has them.
DEVICES = ("host", "browser", "arm64")


@click.command()
@click.argument("bundle", type=BUNDLE)
@click.option("--profile", "profile_name", metavar="NAME", help="The device (`dofkit devices list`), or a TOML file.")
@click.option("--unit", type=HintedChoice(UNITS), default="cpu", show_default=True, help="What computes there.")
@click.option(
    "--gflops", type=FiniteFloat(min=0, min_open=True), help="The unit's rate in floats, 10^9 a second, instead."
)
@click.option(
    "--bandwidth", type=FiniteFloat(min=0, min_open=True), help="The memory's rate, 10^9 bytes a second, instead."
)
@click.option("--target", "targets", type=TARGET, multiple=True, help="Estimate this target only.")
@click.option("--precision", "precisions", type=PRECISION, multiple=True, help="Estimate this precision only.")
@click.option(
    "--device", "device_names", type=HintedChoice(DEVICES), multiple=True, default=DEVICES[:1], show_default=True,
    help="Compute the files there, too, and tell how far the same estimate is off.",
)  # fmt: skip
@click.option("--no-validation", is_flag=True, help="Measure nothing here: the estimate's worth is then not known.")
@json_option
def command(
    bundle: Path,
    profile_name: str | None,
    unit: str,
    gflops: float | None,
    bandwidth: float | None,
    targets: tuple[Target, ...],
    precisions: tuple[Precision, ...],
    device_names: tuple[str, ...],
    no_validation: bool,
    as_json: bool,
) -> None:
    """Estimate a BUNDLE's latency on a device from operations, bytes and the device's rates. An estimate, no figure.

    The same estimate is made for this machine, and the files are measured here: how many times the estimate they take
    is told beside it. --device browser does so in WebAssembly, --device arm64 with the instructions of an ARM core.

    \b
    Examples:
        dofkit estimate portrait.dofbundle --profile raspberry-pi-5
        dofkit estimate portrait.dofbundle --profile raspberry-pi-5 --device host --device browser --device arm64
    """
    from ..devices.estimate import estimate_bundle, profile_rates
    from ..devices.profile import DeviceUnit, profile
    from ..devices.rates import Rates
    from ..devices.registry import device
    from ..runtime_ref.errors import DofkitError
    from . import _console, _device_tables

    if gflops is not None and bandwidth is not None:
        rates, title = Rates(gflops, bandwidth, DeviceUnit(unit)), f"{gflops:g} GFLOP/s, {bandwidth:g} GB/s"
    elif gflops is not None or bandwidth is not None:
        raise DofkitError("--gflops and --bandwidth belong together; give both, or a --profile that states them")
    elif profile_name is None:
        raise DofkitError("no device; give --profile NAME, or --gflops and --bandwidth")
    else:
        chosen = profile(profile_name)
        rates, title = profile_rates(chosen, DeviceUnit(unit)), f"{chosen.title}, {DeviceUnit(unit).title}"
    devices = [] if no_validation else [device(name) for name in dict.fromkeys(device_names)]
    found = estimate_bundle(bundle, rates, targets=targets, precisions=precisions, devices=devices)
    if as_json:
        document = {"is_estimate": True, "gflops": rates.gflops, "bandwidth": rates.bandwidth, "unit": unit}
        _console.print_json({**document, "estimates": [one.as_json() for one in found]})
    else:
        _device_tables.print_estimates(found, title)
