"""Who made weights, of what, and what may be done with them. Exports stamp it on what they write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ...runtime_ref.bundle import file_sha256
from ...runtime_ref.errors import DofkitError
from .. import shipped


@dataclass(frozen=True)
class Terms:
    """Empty texts say nothing: weights of which nobody said a licence have none.

    Attributes:
        licence: a short name, or a sentence.
        author: who trained them.
        provenance: of what they were made.
    """

    licence: str = ""
    author: str = ""
    provenance: str = ""

    def as_metadata(self) -> dict[str, str]:
        """What of it is said."""
        return {name: text for name, text in asdict(self).items() if text}

    @classmethod
    def of_metadata(cls, metadata: Mapping[str, str]) -> Terms:
        """What a weights file says of itself."""
        return cls(**{field.name: metadata.get(field.name, "") for field in fields(cls)})


_RESEARCH = "research only"
RESEARCH_ONLY = Terms(
    licence=f"{_RESEARCH}: trained on NYU Depth v2, Clothing Co-Parsing and ECSSD, among others",
    author="the dofkit authors",
    provenance="starter weights of dofkit, train/weights/MODEL_CARD.md",
)

PRODUCT_TERMS = Terms(
    licence="MIT for the training, of pictures under MIT, Apache-2.0, CC0 and CC BY; the encoder began as "
    "EfficientNet-Lite's ImageNet weights, Apache-2.0",
    author="the dofkit authors",
    provenance="product weights of dofkit, trained without research-only sets, train/weights/MODEL_CARD.md",
)

# Weights that shipped before files said it themselves, by the SHA-256 of the file, wherever a copy of it lies.
_SHIPPED_SILENT = {
    "fdb575b610d64896c12b88e76c453df35464a79b6aea19c534459abe2246083e",  # depth
    "9bd15fc189007040f170eddb0922b2e421bc59a0baa8dc42d3930f0fbdc9ebff",  # lens_blur
    "6b0ac95b8606fe4fbefdd812a278cb45e552e0be665be06b9ec9ed2889527340",  # guided_upsampling
}


def terms_of(path: Path, metadata: Mapping[str, str]) -> Terms:
    """The terms of a weights file: its own words, or what is known of shipped ones.

    Raises:
        DofkitError: it lies among those for products and says that it is for research only.
    """
    said = Terms.of_metadata(metadata)
    if said == Terms() and file_sha256(path) in _SHIPPED_SILENT:
        said = RESEARCH_ONLY
    if path.parent != shipped.PRODUCT:
        return said
    if said.licence.startswith(_RESEARCH):
        raise DofkitError(f"{path}: no product may use these weights, they are {said.licence}; remove the file")
    return PRODUCT_TERMS if said == Terms() else said
