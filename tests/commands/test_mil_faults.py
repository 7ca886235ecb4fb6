"""`dofkit mil` given what does not fit: one line that names what the package takes and how the value is made to fit."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from dofkit.runtime_ref.mil import MLProgram
from dofkit.runtime_ref.mil.elements import Element

from ..packages import PackageWriter, brightening, lookup

RNG = np.random.default_rng(0)


def _refused(result) -> str:
    """The one line of a refusal."""
    assert result.exit_code == 2, (result.output, result.exception)
    assert result.stderr.count("\n") == 1, result.stderr
    assert not result.stdout
    return result.stderr


def _array(folder: Path, values: np.ndarray) -> str:
    np.save(folder / "values.npy", values)
    return str(folder / "values.npy")


@pytest.fixture
def picture(tmp_path: Path) -> str:
    return str(brightening(tmp_path / "picture.mlpackage"))


@pytest.mark.parametrize(
    ("goals", "words"),
    [
        (["{output}={folder}/values.npy"], "is read by this command and --out"),
        (["{output}={folder}/a.npy", "{output}={folder}/b/../a.npy"], "name two files"),
        (["{output}={folder}/a.gif"], ".gif"),
    ],
)
def test_a_goal_that_cannot_be_is_refused_before_anything_is_computed(
    cli, picture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goals: list[str], words: str
) -> None:
    program = MLProgram.open(Path(picture))
    output = program.outputs[0].name
    source = _array(tmp_path, np.zeros(program.inputs[0].shape, np.float32))
    (tmp_path / "b").mkdir()
    monkeypatch.setattr(MLProgram, "run", lambda *_: pytest.fail("it was computed"))
    asked = [word for goal in goals for word in ("--out", goal.format(output=output, folder=tmp_path))]
    assert words in _refused(cli("mil", "run", picture, "--input", f"{program.inputs[0].name}={source}", *asked))


@pytest.fixture
def table(tmp_path: Path) -> str:
    return str(lookup(tmp_path / "table.mlpackage"))


@pytest.fixture
def flexible(tmp_path: Path) -> str:
    """An input of 4 … 8 by 8 … any pixels."""
    writer = PackageWriter()
    ranges = writer.input("image", (1, 3, 4, 8)).shapeRange.sizeRanges
    for low, high in ((1, 1), (3, 3), (4, 8), (8, -1)):
        ranges.add(lowerBound=low, upperBound=high)
    writer.add("relu", "bright", (1, 3, 4, 8), x="image")
    writer.output("bright", (1, 3, 4, 8))
    return str(writer.save(tmp_path / "flexible.mlpackage"))


@pytest.fixture
def listed(tmp_path: Path) -> str:
    """An input of two shapes."""
    writer = PackageWriter()
    shapes = writer.input("image", (1, 3, 4, 8)).enumeratedShapes.shapes
    for shape in ((1, 3, 4, 8), (1, 3, 8, 4)):
        shapes.add(shape=shape)
    writer.add("relu", "bright", (1, 3, 4, 8), x="image")
    writer.output("bright", (1, 3, 4, 8))
    return str(writer.save(tmp_path / "listed.mlpackage"))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 8, 8, 3), "transpose(0, 3, 1, 2)"),
        ((8, 8, 3), "transpose(2, 0, 1)[None]"),
        ((1, 5, 6, 3), "transpose(0, 3, 1, 2), and resize it"),
        ((8, 8, 1, 3), "array.transpose(2, 3, 0, 1)"),
        ((192,), "reshape(1, 3, 8, 8)"),
        ((1, 3, 9, 8), "resize it"),
        ((7,), "give an array of that shape"),
    ],
)
def test_an_array_of_another_shape_is_told_what_makes_it_fit(cli, picture: str, tmp_path: Path, shape, words) -> None:
    line = _refused(cli("mil", "run", picture, "--input", f"image={_array(tmp_path, np.zeros(shape, np.float32))}"))
    assert words in line
    assert "values.npy" in line
    assert "[1, 3, 8, 8]" in line


def test_what_the_advice_makes_of_an_array_is_taken(cli, picture: str, tmp_path: Path) -> None:
    nhwc = RNG.random((1, 8, 8, 3)).astype(np.float32)
    arguments = ("mil", "run", picture, "--out", str(tmp_path / "out"), "--input")
    assert cli(*arguments, f"image={_array(tmp_path, nhwc.transpose(0, 3, 1, 2))}").exit_code == 0
    bright = np.load(tmp_path / "out/bright.npy")
    np.testing.assert_allclose(bright, 1.5 * nhwc.transpose(0, 3, 1, 2), rtol=1e-6)


def test_ranges_and_lists_of_shapes_are_named_where_one_does_not_fit(cli, flexible: str, listed: str, tmp_path) -> None:
    values = _array(tmp_path, np.zeros((1, 3, 9, 9), np.float32))
    assert "[1, 3, 4…8, 8…]" in _refused(cli("mil", "run", flexible, "--input", f"image={values}"))
    assert "[1, 3, 4, 8] or [1, 3, 8, 4]" in _refused(cli("mil", "run", listed, "--input", f"image={values}"))


def test_show_names_ranges_and_lists_of_shapes(cli, flexible: str, listed: str, picture: str) -> None:
    assert "1×3×4×8 by default, takes [1, 3, 4…8, 8…]" in cli("mil", "show", flexible).stdout
    assert "takes [1, 3, 4, 8] or [1, 3, 8, 4]" in cli("mil", "show", listed).stdout
    assert "by default" not in cli("mil", "show", picture).stdout
    facts = [json.loads(cli("mil", "show", path, "--json").stdout)["inputs"][0] for path in (flexible, listed)]
    assert facts[0]["range"] == [[1, 1], [3, 3], [4, 8], [8, None]]
    assert facts[1]["shapes"] == [[1, 3, 4, 8], [1, 3, 8, 4]]
    assert all(item["flexible"] for item in facts)


def test_an_index_beyond_the_table_blames_the_values_and_names_the_operation(cli, table: str, tmp_path: Path) -> None:
    for ids in ([0, 1, 2, 10], [0, -11, 2, 3]):
        line = _refused(cli("mil", "run", table, "--input", f"ids={_array(tmp_path, np.array(ids, np.int32))}"))
        assert "gather 'rows'" in line
        assert "beyond an axis of 10" in line
        assert "damaged" not in line


def test_an_integer_input_takes_whole_numbers_only(cli, table: str, tmp_path: Path) -> None:
    def run(values: np.ndarray):
        return cli("mil", "run", table, "--json", "--input", f"ids={_array(tmp_path, values)}")

    assert "not 0.5" in _refused(run(np.array([0, 1, 2, 0.5])))
    assert "not nan" in _refused(run(np.array([0, 1, 2, np.nan])))
    assert "int32 goes from" in _refused(run(np.array([0, 1, 2, 2**40])))
    assert "not 0.5" in _refused(cli("mil", "run", table, "--input", "ids=0.5"))
    whole = run(np.array([0.0, 1.0, 2.0, 9.0]))
    assert whole.exit_code == 0, whole.output
    assert whole.stderr == "dofkit: warning: input ids: floating numbers, all of them whole, are taken as int32\n"
    facts = json.loads(whole.stdout)
    assert facts["outputs"][0]["max"] == 19  # the table's last row
    assert len(facts["warnings"]) == 1
    assert cli("mil", "run", table, "--input", "ids=3").stderr == ""


def test_numbers_that_are_not_finite_are_warned_of_once(cli, picture: str, tmp_path: Path) -> None:
    values = np.zeros((1, 3, 8, 8), np.float32)
    values[0, 0, 0, :2] = np.nan, np.inf
    result = cli("mil", "run", picture, "--input", f"image={_array(tmp_path, values)}")
    assert result.exit_code == 0, result.output  # no operation made them
    assert result.stderr.count("\n") == 1
    assert "2 of 192 values are NaN or infinite" in result.stderr


def test_numbers_beyond_half_precision_are_warned_of(cli, tmp_path: Path) -> None:
    writer = PackageWriter()
    writer.input("x", (2,), Element.FLOAT16)
    writer.add("relu", "y", (2,), Element.FLOAT16, x="x")
    writer.output("y", (2,), Element.FLOAT16)
    package = writer.save(tmp_path / "half.mlpackage")
    result = cli("mil", "run", str(package), "--input", f"x={_array(tmp_path, np.array([1.0, 7e4], np.float32))}")
    assert "1 of 2 values are beyond fp16's greatest, 65504" in result.stderr


def test_an_array_that_is_compressed_is_read(cli, picture: str, tmp_path: Path) -> None:
    plain = _array(tmp_path, RNG.random((1, 3, 8, 8)).astype(np.float32))
    packed = tmp_path / "values.npy.gz"
    packed.write_bytes(gzip.compress(Path(plain).read_bytes()))
    outputs = [
        json.loads(cli("mil", "run", picture, "--json", "--input", f"image={p}").stdout) for p in (plain, packed)
    ]
    assert outputs[0]["outputs"] == outputs[1]["outputs"]
    packed.write_bytes(packed.read_bytes()[:-40])
    assert "no plain .npy" in _refused(cli("mil", "run", picture, "--input", f"image={packed}"))


def test_an_array_shorter_than_its_header_says_is_refused_before_anything_is_allocated(cli, picture, tmp_path) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (1, 3, 10**4, 10**4)}
    for shape, words in (((1, 3, 10**4, 10**4), "declares 1200000000 bytes"), ((1, 3, 10**6, 10**6), "1.2e+04 GB")):
        with (tmp_path / "short.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header | {"shape": shape})
            file.write(bytes(64))
        assert words in _refused(cli("mil", "run", picture, "--input", f"image={tmp_path / 'short.npy'}"))


@pytest.mark.parametrize("command", [["run", "--random", "0"], ["run", "--input", "image=0.5"], ["diff"]])
def test_a_package_that_declares_more_than_any_memory_holds_is_refused(cli, tmp_path: Path, command) -> None:
    package = str(brightening(tmp_path / "huge.mlpackage", (1, 3, 10**6, 10**6)))
    line = _refused(cli("mil", command[0], package, *([package] if command == ["diff"] else command[1:])))
    assert "1×3×1000000×1000000" in line
    assert cli("mil", "show", package).exit_code == 0  # looking allocates nothing


@pytest.mark.parametrize(
    ("shape", "words"),
    [((1, 3, 8, 8), "cannot take image [1, 3, 8, 8]"), ((1, 3, 3, 3), "cannot take"), ((3, 8, 8), "[1, 3, H, W]")],
)
def test_a_package_that_a_network_cannot_follow_is_refused(cli, weights: Path, tmp_path: Path, shape, words) -> None:
    writer = PackageWriter()
    writer.input("image", shape)
    writer.add("relu", "disparity", shape, x="image")
    writer.output("disparity", shape)
    package = str(writer.save(tmp_path / "other.mlpackage"))
    line = _refused(cli("mil", "diff", package, "--pytorch", "depth", "--weights", str(weights)))
    assert words in line
    assert "other.mlpackage is no export of depth" in line


def test_a_package_whose_result_is_no_disparity_is_no_export_of_depth(cli, weights: Path, tmp_path: Path) -> None:
    package = str(brightening(tmp_path / "colour.mlpackage", (1, 3, 128, 128)))
    line = _refused(cli("mil", "diff", package, "--pytorch", "depth", "--weights", str(weights)))
    assert "the network gives [1, 1, 128, 128], the package bright: fp32 [1, 3, 128, 128]" in line


def test_a_warning_goes_to_stderr_when_programs_are_compared(cli, picture: str) -> None:
    result = cli("mil", "diff", picture, picture, "--input", "image=nan", "--json")
    assert result.exit_code == 0, result.output
    assert "NaN" in result.stderr
    assert json.loads(result.stdout)["agree"]
