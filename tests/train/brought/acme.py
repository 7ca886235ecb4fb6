"""The worked example of docs/networks.md, as a package that is installed in a folder."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "networks.md"
NAME = "acme_blur"


def blocks() -> tuple[str, str]:
    """Module and pyproject.toml, as the page has them."""
    text = PAGE.read_text()
    section = text[text.index("## A network of yours in its own package") :]
    (module, *_), (project, *_) = (
        re.findall(rf"```{kind}\n(.*?)```", section, re.DOTALL) for kind in ("python", "toml")
    )
    return module, project


def weights_of_random(module: str, goal: Path) -> None:
    """Weights of the example's layers, small enough that a picture stays one."""
    import torch
    from safetensors.torch import save_file
    from torch import nn

    layers: dict[str, nn.Module] = {}
    for name, call in re.findall(r"self\.(\w+) = (nn\..*)", module):
        layers[name] = eval(call, {"nn": nn})  # the page's own lines
    generator = torch.Generator().manual_seed(5)
    tensors = {}
    for name, layer in layers.items():
        for key, value in layer.state_dict().items():
            tensors[f"{name}.{key}"] = torch.randn(value.shape, generator=generator) * 0.3 / value[0].numel() ** 0.5
    save_file(tensors, goal)


def install(folder: Path, module: str | None = None, name: str = NAME, package: str = "acme-blur") -> Path:
    """What pip makes of such a package: the module, its weights, and a dist-info folder beside them.

    Args:
        folder: is to be on sys.path.
        module: its text; None: the page's.
        name: of the entry point.
        package: the distribution's name.
    """
    own, _ = blocks()
    file = package.replace("-", "_")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{file}.py").write_text(module or own)
    weights_of_random(own, folder / "acme_blur.safetensors")
    info = folder / f"{file}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[dofkit.networks]\n{name} = {file}:AcmeBlur\n")
    return folder
