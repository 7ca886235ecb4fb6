"""Whoever changes a rule of the pipeline changes the kits with it: each reads every rule from the manifest."""

from __future__ import annotations

import re

import pytest

from dofkit.kits.platform import Platform
from dofkit.runtime_ref.pipeline.plan import PipelinePlan, TileSpec
from dofkit.runtime_ref.pipeline.rules import HostRules

SOURCES = {
    Platform.WEB: "portrait/*.js",
    Platform.ANDROID: "portrait/src/main/**/*.kt",
    Platform.IOS: "Sources/**/*.swift",
}


def _camel(name: str) -> str:
    """As Swift's decoder calls a field."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


@pytest.mark.parametrize("platform", Platform)
def test_a_kit_reads_every_rule_and_every_number_of_the_plan(platform: Platform) -> None:
    source = "\n".join(path.read_text() for path in platform.sources.glob(SOURCES[platform]))
    read = set(re.findall(r"\w+", source))
    plan = {*PipelinePlan.model_fields, *TileSpec.model_fields} - {"align"}  # which needs no heed
    wanted = {*HostRules.model_fields, *plan}
    assert {_camel(name) for name in wanted} <= read if platform is Platform.IOS else wanted <= read
