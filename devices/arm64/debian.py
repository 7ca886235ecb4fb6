"""Packages of a Debian release, of any architecture, unpacked into a folder; the machine's own stay as they are.

apt does the work (mirror, signatures, dependencies) with lists, state and cache of its own, so that nobody needs to be
root.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...runtime_ref.errors import DofkitError
from ..installing import run_tool

MIRROR = "DOFKIT_DEBIAN_MIRROR"
_SOURCES = Path("/etc/apt")
_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_URI = re.compile(r"\b(?:https?|file|ftp)://\S+?/debian/?(?=\s|$)")


@dataclass(frozen=True)
class Release:
    """A release of Debian on one architecture.

    Attributes:
        suite: its name ("bookworm").
        architecture: "amd64", "arm64".
    """

    suite: str
    architecture: str

    def unpack(self, packages: Sequence[str], into: Path, only: Collection[str] = ()) -> None:
        """Fetch packages with all that they depend on, and unpack them.

        Args:
            packages: their names.
            into: a folder, which becomes the root of what they hold.
            only: the paths to unpack, as "usr/bin/python3"; empty: all.

        Raises:
            DofkitError: there is no mirror, or apt failed.
        """
        scratch = into / ".apt"
        options = self._options(scratch)
        run_tool(["apt-get", *options, "update"], into, f"reading the list of {self.suite}'s packages")
        run_tool(
            ["apt-get", *options, "install", "-y", "--no-install-recommends", "--download-only", *packages],
            into, f"fetching {', '.join(packages)}",
        )  # fmt: skip
        for archive in sorted((scratch / "cache" / "archives").glob("*.deb")):
            _unpack(archive, into, only)
        shutil.rmtree(scratch)

    def _options(self, scratch: Path) -> list[str]:
        """Options of apt-get by which it sees this release and nothing of the machine's."""
        for folder in ("state/lists/partial", "cache/archives/partial", "etc/preferences.d", "etc/apt.conf.d"):
            (scratch / folder).mkdir(parents=True)
        (scratch / "status").touch()
        source = f"deb [arch={self.architecture} signed-by={_KEYS}] {mirror()} {self.suite} main\n"
        (scratch / "sources.list").write_text(source)
        values = {
            "APT::Architecture": self.architecture,
            "APT::Architectures::": self.architecture,
            "APT::Sandbox::User": "root",  # a folder of this user's: apt's own user may not enter it
            "Dir::Etc::sourcelist": scratch / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::Etc::preferences": "-",
            "Dir::Etc::preferencesparts": scratch / "etc" / "preferences.d",
            "Dir::State": scratch / "state",
            "Dir::State::status": scratch / "status",
            "Dir::Cache": scratch / "cache",
        }
        return [word for name, value in values.items() for word in ("-o", f"{name}={value}")]


def _unpack(archive: Path, into: Path, only: Collection[str]) -> None:
    if not only:
        run_tool(["dpkg-deb", "-x", archive, into], into, f"unpacking {archive.name}")
        return
    # QEMU's package holds 60 programs, of which one is kept.
    with (
        subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE) as reader,
        tarfile.open(fileobj=reader.stdout, mode="r|") as files,
    ):
        for member in files:
            if (name := member.name.removeprefix("./")) in only and (content := files.extractfile(member)) is not None:
                goal = into / name
                goal.parent.mkdir(parents=True, exist_ok=True)
                goal.write_bytes(content.read())
                goal.chmod(member.mode)


def mirror() -> str:
    """Where this machine gets Debian's packages from: `$DOFKIT_DEBIAN_MIRROR`, or the first of its own sources.

    Raises:
        DofkitError: neither is there, or nothing to verify packages with.
    """
    if not _KEYS.is_file():
        raise DofkitError(f"{_KEYS} is missing, by which packages are verified; install debian-archive-keyring")
    if chosen := os.environ.get(MIRROR):
        return chosen
    found = mirror_in(path.read_text(errors="replace") for path in sorted(_SOURCES.glob("sources.list*/*.sources")))
    found = found or mirror_in(
        path.read_text(errors="replace")
        for path in [_SOURCES / "sources.list", *sorted(_SOURCES.glob("sources.list.d/*.list"))]
        if path.is_file()
    )
    if found is None:
        raise DofkitError(f"no mirror of Debian stands in {_SOURCES}; name one in the variable {MIRROR}")
    return found


def mirror_in(sources: Iterable[str]) -> str | None:
    """The first mirror of Debian itself (not of its security updates) in apt's lists of sources, in either format."""
    for text in sources:
        for line in text.splitlines():
            if not line.lstrip().startswith("#") and (match := _URI.search(line)):
                return match[0]
    return None
