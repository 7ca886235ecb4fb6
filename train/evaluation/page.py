"""A report's page from its template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...runtime_ref.errors import require


def page(template: str, **values: Any) -> bytes:
    """One of the templates beside this module, filled in; a name without a value is an error.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    jinja2 = require("jinja2", "report", "writing the report")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(**values).encode()
