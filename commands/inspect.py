"""`dofkit inspect`: what is inside a bundle, for people and for machines. Needs no runtime."""

from __future__ import annotations

from pathlib import Path

import click

from ._options import BUNDLE, json_option


@click.command()
@click.argument("bundle", type=BUNDLE)
@json_option
def command(bundle: Path, as_json: bool) -> None:
    """Show a BUNDLE's models, sizes, tile plan, golden cases and tools, after verifying every file's hash."""
    from rich.table import Table

    from ..runtime_ref.bundle import Bundle
    from ..runtime_ref.pipeline.stage import PIPELINE_STAGES
    from . import _console

    opened = Bundle.open(bundle)
    manifest = opened.manifest
    if as_json:
        _console.print_json(manifest.model_dump(mode="json"))
        return
    console = _console.stdout()
    total = sum(entry.bytes for entry in manifest.files.values())
    console.print(
        f"{manifest.name}: {len(manifest.files)} files, {total / 1e6:.1f} MB, every hash verified", markup=False
    )
    models = Table(title="Models", title_justify="left")
    for name in ("stage", "target", "stored as", "kB", "needs", "inputs", "output", "operations"):
        models.add_column(name, justify="right" if name in ("kB", "operations") else "left")
    for model in manifest.models:
        size = sum(entry.bytes for name, entry in manifest.files.items() if (name + "/").startswith(model.path + "/"))
        tensors = ["\n".join(t.summary for t in ts) for ts in (model.inputs, model.outputs)]
        models.add_row(
            model.function or model.name, model.target.title, model.storage, f"{size / 1e3:.0f}",
            model.deployment,
            *tensors, str(sum(model.operators.values())),
        )  # fmt: skip
    console.print(models)
    networks = Table(title="Networks", title_justify="left")
    for name in ("stage", "parameters", "halo", "weights"):
        networks.add_column(name)
    for stage in (stage for stage in PIPELINE_STAGES if stage in manifest.networks):
        network = manifest.networks[stage]
        radius = "the whole photo" if network.halo is None else f"{network.halo} px"
        networks.add_row(stage.value, f"{network.parameters:,}", radius, network.weights_sha256[:12])
    console.print(networks)
    plan = manifest.plan
    depths = ", ".join(f"{height}×{width}" for height, width in plan.depth_shapes)
    console.print(
        f"tiles: lens blur {plan.lens_blur.tile} px (halo {plan.lens_blur.halo}), guided upsampling "
        f"{plan.guided_upsampling.tile} px (halo {plan.guided_upsampling.halo}); depth {depths} px; "
        f"copied below {plan.copy_below} px of defocus",
        markup=False,
    )
    for case in manifest.golden:
        console.print(f"golden: {case.name} ({case.note}), focus {case.focus}, aperture {case.aperture}", markup=False)
    console.print(
        "made with: " + ", ".join(f"{name} {version}" for name, version in manifest.tools.items()), markup=False
    )
