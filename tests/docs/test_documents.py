"""README and docs name what exists: files, commands, options, figures; the README is short and has two commands."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from dofkit.export.precision import SUPPORT
from dofkit.runtime_ref.backends import BACKENDS
from dofkit.runtime_ref.bundle.steps import write_steps
from dofkit.runtime_ref.parity.tolerances import tolerance
from dofkit.runtime_ref.target import Precision, Target

from .documents import DOCUMENTS, ROOT, Line, all_options, command_lines, resolved, without_fences

LINES = [line for document in DOCUMENTS for line in command_lines(document)]
# Options of other programs that the documents mention: pip's, pytest's, mkdocs'.
FOREIGN = {"--dist", "--strict", "--operations"}


def test_every_command_line_was_found() -> None:
    assert len(LINES) > 50
    assert {line.arguments[0] for line in LINES} >= {
        "export", "render", "check", "diff", "sensitivity", "bench", "mil", "train", "generate", "evaluate", "inspect"
    }  # fmt: skip


@pytest.mark.parametrize("line", LINES, ids=str)
def test_a_command_line_of_the_documents_is_understood(line: Line) -> None:
    if any(argument.startswith("$") or argument in ("…", "BUNDLE") for argument in line.arguments):
        command, rest = resolved([a for a in line.arguments if not a.startswith("$")])
        known = {option for parameter in command.params for option in parameter.opts}
        assert {argument for argument in rest if argument.startswith("--")} <= known
        return
    command, rest = resolved(line.arguments)
    with contextlib.suppress(click.exceptions.Exit):  # an option that prints and leaves
        command.make_context("dofkit", rest)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_and_option_in_the_prose_exists(document: Path) -> None:
    prose = without_fences(document.read_text(encoding="utf-8"))
    spans = re.findall(r"`([^`]+)`", prose)
    released = document.name in ("CHANGELOG.md", "journal.md")  # they tell of options that are gone
    for span in spans:
        if span.startswith("dofkit ") and not released:
            words = [word for word in span.split()[1:] if re.fullmatch(r"(--)?[a-z][a-z0-9-]*", word)]
            command, rest = resolved(words)
            known = {option for parameter in command.get_params(click.Context(command)) for option in parameter.opts}
            assert {word for word in rest if word.startswith("--")} <= known, span
        elif not released:
            used = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", span)) - FOREIGN
            assert used <= all_options(), span


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_links_to_exists(document: Path) -> None:
    text = without_fences(document.read_text(encoding="utf-8"))
    goals = [goal.partition("#")[0] for goal in re.findall(r"\]\(([^)\s]+)\)", text)]
    for goal in goals:
        if goal and not goal.startswith("https://"):
            assert (document.parent / goal).exists(), goal


def test_the_readme_is_one_page_with_a_picture() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    assert re.search(r"^!\[.+\]\(docs/images/astronaut.jpg\)$", text, re.MULTILINE)


def test_the_readmes_two_commands_end_in_an_export_and_in_the_tests_that_ci_runs() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    export, tests = re.findall(r"^    (python3 -m venv .*)$", text, re.MULTILINE)
    assert export.endswith(".venv/bin/dofkit export --target coreml")
    suite = tests.rpartition(" && ")[2]
    assert suite.startswith(".venv/bin/pytest")
    assert suite in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def rows(page: str, heading: str) -> list[list[str]]:
    """The rows of the tables below a heading, cell by cell, code marks left out."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().replace("`", "") for cell in line] for line in lines]


def test_the_table_of_precisions_is_the_one_that_export_obeys() -> None:
    table = {row[0]: row[1:] for row in rows("precisions.md", "What each target can do")}
    for precision in Precision:
        title, *notes = table[precision.value]
        assert title == precision.title
        for target, note in zip(Target, notes, strict=True):
            support = SUPPORT[precision][target]
            refused = "no: " if not support.possible else ""
            useless = "with --force: " if support.possible and not support.offered else ""
            assert note == f"{refused}{useless}{support.note}"


def test_the_figures_of_precisions_are_those_that_the_tolerances_quote() -> None:
    table = rows("precisions.md", "How far from PyTorch")
    for name, tflite, onnx in ((row[0], row[2], row[4]) for row in table if len(row) == 5 and row[0] in SUPPORT):
        for target, figure in ((Target.TFLITE, tflite), (Target.ONNX, onnx)):
            if Precision(name).weight_bits is not None:
                quoted = tolerance("pipeline", Precision(name), target).reason
                assert f"pipeline {figure.rpartition(' ')[2]} dB" in quoted
    coreml = {
        row[0].partition(" ")[0]: row[1:] for row in table if len(row) == 4 and row[0].partition(" ")[0] in SUPPORT
    }
    assert coreml.keys() == {p.value for p in Precision if p.weight_bits and SUPPORT[p][Target.COREML].possible}
    for name, figures in coreml.items():
        quoted = re.findall(r"\d+\.\d", tolerance("pipeline", Precision(name), Target.COREML).reason)
        assert [figure for figure in figures if figure] == quoted


def test_the_table_of_backends_is_the_registrys() -> None:
    table = {row[0]: row[2] for row in rows("ci.md", "Other backends") if len(row) == 3}
    table = {name: shows for name, shows in table.items() if name not in ("id", "---")}
    assert table == {one.facts.id: one.facts.shows for one in BACKENDS}


def test_the_reader_of_golden_files_reads_them(tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "bundle.md").read_text(), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(code, names)
    path, rng = tmp_path / "steps.safetensors", np.random.default_rng(0)
    numbers = {np.uint8: rng.integers(0, 256, (5, 7, 3)), np.uint16: rng.integers(0, 65536, (3, 4))}
    expected = {kind.__name__: values.astype(kind) for kind, values in numbers.items()}
    write_steps(path, {**expected, "float32": rng.random((2, 3), np.float32)})
    read, expected = names["read"](path), load_file(path)
    assert read.keys() == {"uint8", "uint16", "float32"} == expected.keys()
    for name, values in expected.items():
        assert read[name].dtype == values.dtype
        np.testing.assert_array_equal(read[name], values)


@dataclass(frozen=True)
class MyDepthConfig:
    scale: float = 3.0


class MyDepth(torch.nn.Module):
    """Inverse depth of any scale: what is bright is near."""

    def __init__(self, config: MyDepthConfig) -> None:
        super().__init__()
        self.config = config
        self.mix = torch.nn.Conv2d(3, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.config.scale * self.mix(image)


def test_the_example_of_a_network_of_yours_comes_back_from_its_file_as_a_disparity(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "networks.md").read_text()
    code = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[0]
    names: dict[str, Any] = {"MyDepth": MyDepth, "MyDepthConfig": MyDepthConfig, "folder": tmp_path}
    exec(code, names)
    disparity = names["network"](torch.rand(1, 3, 14, 28))
    assert disparity.shape == (1, 1, 14, 28)
    assert disparity.min() == 0
    assert 0.9 < disparity.max() <= 1


@pytest.mark.e2e
def test_the_site_builds_strictly_and_fetches_nothing_from_elsewhere(tmp_path: Path) -> None:
    """Strict: every link and anchor resolves, every object of the reference exists."""
    site = tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        fetched = re.findall(
            r'<(?:script|img|link)[^>]+(?:src|href)="(https?://[^"]+)', page.read_text(encoding="utf-8")
        )
        assert not fetched, page
    reference = (site / "cli" / "index.html").read_text(encoding="utf-8")
    assert "dofkit mil show" in reference
    assert "UNSET" not in reference
