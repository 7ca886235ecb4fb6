"""`dofkit mil run`: a Core ML package evaluated anywhere, outputs in a table and in files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._mil_options import input_option, open_program, resize_option, warn_of_inputs
from ._options import json_option

if TYPE_CHECKING:
    from ..runtime_ref.mil import Evaluation, MLProgram


@click.command()
@click.argument("package", type=click.Path(path_type=Path))
@input_option
@click.option("--random", "seed", type=click.IntRange(0), metavar="SEED", help="Fill the inputs that are missing.")
@resize_option
@click.option("--function", help="Which function of the package.  [default: its default one]")
@click.option("--ideal", is_flag=True, help="Compute in float64 and round nothing, instead of as the types say.")
@click.option(
    "--out", "goals", multiple=True, metavar="DIR|NAME=FILE",
    help="Write all outputs to a folder (.npy, and .png beside if it is a picture), or one to a file.",
)  # fmt: skip
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    package: Path,
    sources: tuple[tuple[str, str], ...],
    seed: int | None,
    resize: bool,
    function: str | None,
    ideal: bool,
    goals: tuple[str, ...],
    as_json: bool,
) -> None:
    """Evaluate the Core ML PACKAGE.

    Photos become RGB for inputs of three channels and grey for those of one, with values in [0, 1]; image inputs get
    pixels. Whole numbers in floating arrays are taken by integer inputs. States start at zero. Pictures that are
    written are cut to [0, 1].

    \b
    Exit codes: 0 done, 1 an operation made infinities or NaN (it is named), 2 bad input.

    \b
    Examples:
        dofkit mil run depth.mlpackage --input image=photo.jpg --resize --out disparity
        dofkit mil run blur.mlpackage --input image=photo.png --input defocus=0.5 --out blurred=out.jpg
        dofkit mil run any.mlpackage --random 0
    """
    import time

    from ..runtime_ref.mil import Numerics
    from ..runtime_ref.mil.files import gather_inputs
    from . import _console, _mil_facts, _mil_tables

    program = open_program(package, function, Numerics.IDEAL if ideal else Numerics.TYPED)
    paths = _goals(goals, program, [Path(source.partition("#")[0]) for _, source in sources])
    inputs = gather_inputs(program.inputs, dict(sources), seed, resize)
    remarks = warn_of_inputs(program, inputs)
    started = time.perf_counter()
    evaluation = program.run(inputs)
    seconds = time.perf_counter() - started
    files = _write(program, evaluation, paths)
    if as_json:
        _console.print_json(_mil_facts.run_facts(program, evaluation, seconds, files, remarks))
    else:
        _mil_tables.print_run(program, evaluation, seconds, files)
    ctx.exit(1 if evaluation.non_finite else 0)


def _goals(goals: tuple[str, ...], program: MLProgram, inputs: list[Path]) -> list[tuple[str, Path]]:
    """(output, file or folder) for each output that is to be written; nothing is computed for what cannot be."""
    from ..runtime_ref.errors import DofkitError
    from ..runtime_ref.files import check_folder, check_goals
    from ..runtime_ref.imageio import format_of

    names = [feature.name for feature in program.outputs]
    paths: list[tuple[str, Path]] = []
    for goal in goals:
        name, sign, file = goal.partition("=")
        if not sign:
            _make_folder(Path(goal))
            paths += [(output, Path(goal)) for output in names]
            continue
        if name not in names:
            raise DofkitError(f"--out {goal}: there is no output {name!r}; the program gives {', '.join(names)}")
        if not Path(file).suffix:
            raise DofkitError(f"--out {goal}: {file} has no suffix; end it with .npy, .png, .jpg, .heic or .webp")
        if Path(file).suffix.lower() != ".npy":
            format_of(Path(file))  # refuses what is no picture's suffix
        check_folder(Path(file))
        paths.append((name, Path(file)))
    check_goals({f"--out {name}={file}": file for name, file in paths if not file.is_dir()}, inputs)
    return paths


def _make_folder(path: Path) -> None:
    from ..runtime_ref.errors import DofkitError

    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DofkitError(f"--out {path}: cannot be made a folder ({error.strerror}); name another") from error


def _write(program: MLProgram, evaluation: Evaluation, paths: list[tuple[str, Path]]) -> dict[str, list[str]]:
    """Write what was asked for; returns the files of each output."""
    from ..runtime_ref.mil.files import file_names, write_output

    features = {feature.name: feature for feature in program.outputs}
    written: dict[str, list[str]] = {}
    for name, path in paths:
        feature, value = features[name], evaluation.outputs[name]
        files = [path / file for file in file_names(feature, value)] if path.is_dir() else [path]
        for file in files:
            write_output(file, feature, value)
            written.setdefault(name, []).append(str(file))
    return written
