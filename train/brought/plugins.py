"""Networks of packages that are installed: classes under the entry point group `dofkit.networks`, found by their name.

Nothing is looked for in the working folder: whoever starts dofkit beside files that he got from somebody does not run
them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

from torch import nn

from ...runtime_ref.errors import DofkitError, first_line
from ..networks.contract import NetworkContract
from ..weights.terms import Terms

GROUP = "dofkit.networks"


@dataclass(frozen=True, eq=False)
class InstalledNetwork:
    """A network that an installed package brings.

    Attributes:
        network: in evaluation mode.
        contract: as its class says.
        terms: as its class says; empty where it does not.
        package: "name version" of the package.
    """

    network: nn.Module
    contract: NetworkContract
    terms: Terms
    package: str


def installed_names() -> list[str]:
    """The names of all networks that installed packages bring."""
    return sorted({entry.name for entry, _ in _entries()})


def package_of(name: str) -> str:
    """ "name version" of the package that brings a network; empty where none does."""
    return next((package for entry, package in _entries() if entry.name == name), "")


def installed_network(name: str) -> InstalledNetwork:
    """The network of an entry point's name.

    Raises:
        DofkitError: several packages bring one of this name; it cannot be imported or made, is no network, or says
            nothing of its contract.
    """
    found = [(entry, package) for entry, package in _entries() if entry.name == name]
    if len(found) > 1:
        packages = " and ".join(package for _, package in found)
        raise DofkitError(f"{name}: {packages} both bring a network of this name; remove one of them")
    if not found:
        raise DofkitError(f"no installed package brings a network called {name!r}; {_there()}")
    ((entry, package),) = found
    what = f"{name} ({entry.value} of {package})"
    with _without_the_working_folder():
        try:
            kind = entry.load()
            network = kind()
        except (Exception, SystemExit) as error:  # whatever code of others raises
            raise DofkitError(
                f"{what} cannot be made ({type(error).__name__}: {first_line(Exception(error))}); mend or reinstall "
                "the package"
            ) from error
    if not isinstance(network, nn.Module):
        raise DofkitError(f"{what} makes a {type(network).__name__}, no torch.nn.Module; name the network's class")
    contract, terms = getattr(network, "contract", None), getattr(network, "terms", Terms())
    if not isinstance(contract, NetworkContract):
        raise DofkitError(f"{what} has no contract; give its class one, `contract = NetworkContract(…)`")
    if not isinstance(terms, Terms):
        raise DofkitError(f"{what}: its terms are no dofkit.train.weights.Terms; make them so, or leave them out")
    return InstalledNetwork(network.float().eval().requires_grad_(False), contract, terms, package)


def _there() -> str:
    names = installed_names()
    return f"there are {', '.join(names)}" if names else f"none brings any (entry point group {GROUP})"


def _entries() -> Iterator[tuple[EntryPoint, str]]:
    """Every entry point of the group, with the package that it is of; a package counts where it is found first."""
    seen: set[str] = set()
    for distribution in distributions(path=_path()):
        name = distribution.metadata["Name"] or ""
        if name in seen:
            continue
        seen.add(name)
        for entry in distribution.entry_points:
            if entry.group == GROUP:
                yield entry, f"{name} {distribution.version}"


def _path() -> list[str]:
    """Where installed packages lie: the path without the working folder that `python -m` puts first on it."""
    first, rest, here = sys.path[:1], sys.path[1:], Path.cwd().resolve()
    return [entry for entry in first if Path(entry).resolve() != here] + [entry for entry in rest if entry]


@contextmanager
def _without_the_working_folder() -> Iterator[None]:
    before = list(sys.path)
    sys.path[:] = _path()
    try:
        yield
    finally:
        sys.path[:] = before
