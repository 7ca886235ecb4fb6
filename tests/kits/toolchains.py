"""The compilers that the kits' tests need, and what is said where one is missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

KOTLIN = Path(__file__).parent / "kotlin"
REQUIRED = "DOFKIT_KITS_REQUIRED"  # set where a kit that was not tested is a failure


def kotlinc() -> list[str]:
    """The command of the Kotlin compiler."""
    own = KOTLIN / "node_modules" / "kotlin-compiler" / "bin" / "kotlinc"
    if own.is_file():
        return ["bash", str(own)]
    if found := shutil.which("kotlinc"):
        return [found]
    not_run("Kotlin's compiler is not installed", f"npm ci --ignore-scripts --prefix {KOTLIN}")
    return []


def tool(name: str, package: str) -> str:
    """The path of a program."""
    if found := shutil.which(name):
        return found
    not_run(f"{name} is not installed", f"apt-get install {package}")
    return ""


def not_run(why: str, remedy: str) -> None:
    """Skip the test, or fail where kits have to be tested."""
    (pytest.fail if os.environ.get(REQUIRED) else pytest.skip)(f"NOT RUN: {why}; run: {remedy}")
