"""What a brought network's licence is, as far as its folder says it, and what to say of it."""

from __future__ import annotations

import re
from pathlib import Path

from ...runtime_ref.licences import keeps_products_out
from ..weights.terms import Terms

_CARD = "README.md"
_LONGEST = 1 << 20  # of a card, in characters


def card_licence(folder: Path) -> str:
    """The licence that the front matter of a folder's model card names; empty where none does."""
    card = folder / _CARD
    if not card.is_file():
        return ""
    with card.open(errors="replace") as file:
        text = file.read(_LONGEST)
    front = re.match(r"---\s*\n(.*?)\n---\s*(?:\n|$)", text, re.DOTALL)
    if front is None:
        return ""
    said = dict(re.findall(r"^(license\w*):[ \t]*[\"']?([^\"'\n]+?)[\"']?[ \t]*$", front[1], re.MULTILINE))
    licence = said.get("license", "")
    return said.get("license_name", licence) if licence == "other" else licence


def warnings_of(terms: Terms) -> tuple[str, ...]:
    """What whoever brings a network should know of its terms: a line, or none."""
    if not terms.licence:
        return ("the network names no licence; say it with --licence, and check its source before you ship it",)
    if keeps_products_out(terms.licence):
        return (f"the network's licence is {terms.licence!r}, which does not let a product use it",)
    return ()
