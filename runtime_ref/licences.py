"""What a licence's short name or sentence says of products, as far as words tell."""

from __future__ import annotations

import re

# Creative Commons' NC, Apple's for models, "research only".
_NOT_FOR_PRODUCTS = re.compile(r"(?<![a-z])(nc|non-?commercial|research|amlr)(?![a-z])", re.IGNORECASE)


def keeps_products_out(licence: str) -> bool:
    """Whether a licence does not let a product use what it is of; no word of it is no promise that it does."""
    return _NOT_FOR_PRODUCTS.search(licence) is not None
