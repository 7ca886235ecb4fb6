"""What a manifest says of golden cases and networks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from ..runtime_ref.bundle import GoldenCase, NetworkEntry
from ..runtime_ref.parity.cases import Case
from ..train.networks.contract import NetworkContract
from ..train.weights import Terms
from .labels import Labels


def golden_entry(case: Case, folder: Path) -> GoldenCase:
    """Of a case whose file lies in a bundle's folder."""
    return GoldenCase(
        name=case.name,
        path=case.path.relative_to(folder).as_posix(),
        kind=case.kind,
        focus=case.lens.focus,
        aperture=case.lens.aperture,
        note=case.note,
    )


def network_entry(
    network: torch.nn.Module, contract: NetworkContract, weights_sha256: str, terms: Terms, labels: Labels
) -> NetworkEntry:
    """Of a network with weights of a digest; the user's labels come before what the weights say
    of themselves, but for a licence, which nobody can change."""
    return NetworkEntry(
        architecture=contract.architecture,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        halo=contract.halo,
        configuration=dataclasses.asdict(network.config),  # pyright: ignore[reportArgumentType, reportCallIssue]
        weights_sha256=weights_sha256,
        licence=terms.licence or labels.licence,
        author=labels.author or terms.author,
        provenance=terms.provenance,
    )
