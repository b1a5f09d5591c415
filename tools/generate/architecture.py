"""`make architecture` writes the picture of docs/architecture.md: the rooms of the library, and who imports whom.

The arrows are those that are not implied by others (the transitive reduction): an arrow that is left out is a way along
others. A package's place is its layer in pyproject.toml, which `make lint` keeps.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import grimp

from tools.venvs import ROOT

PAGE = ROOT / "docs/architecture.md"
BEGIN, END = "<!-- rooms: written by `make architecture` -->\n", "<!-- end of rooms -->\n"

Arrows = Mapping[str, frozenset[str]]


def layers() -> list[list[str]]:
    """The rooms of `jetway`, uppermost layer first, as the contract in pyproject.toml has them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (rooms,) = (contract for contract in contracts if contract["id"] == "rooms")
    return [[name.strip() for name in layer.split(":")] for layer in rooms["layers"]]


def arrows(rooms: Iterable[str]) -> Arrows:
    """Which rooms each one imports; imports for type checking count."""
    graph = grimp.build_graph("jetway", cache_dir=None)
    names = set(rooms)
    found: dict[str, set[str]] = {name: set() for name in names}
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            one, other = (_room(module) for module in (importer, imported))
            if one != other and {one, other} <= names:
                found[one].add(other)
    return {name: frozenset(others) for name, others in found.items()}


def reduced(found: Arrows) -> Arrows:
    """Leave out each arrow that others imply. There are no circles: `make lint` refuses them."""

    def reachable(start: str) -> Iterator[str]:
        for other in found[start]:
            yield other
            yield from reachable(other)

    return {
        name: frozenset(other for other in others if not any(other in set(reachable(via)) for via in others - {other}))
        for name, others in found.items()
    }


def picture() -> str:
    """The diagram, as Mermaid."""
    found = layers()
    reduced_arrows = reduced(arrows(name for layer in found for name in layer))
    lines = ["```mermaid", "flowchart TD"]
    for number, layer in enumerate(found):
        if len(layer) > 1:  # side by side
            lines += [f"  subgraph layer{number}[ ]", "    direction LR", *(f"    {name}" for name in layer), "  end"]
    lines += [f"  {name} --> {other}" for layer in found for name in layer for other in sorted(reduced_arrows[name])]
    return "\n".join([*lines, "```", ""])


def page(text: str) -> str:
    """The page with the picture of now.

    Raises:
        ValueError: the page has no place for it.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name} has no place for the picture.")
    return f"{before}{BEGIN}\n{picture()}\n{END}{after}"


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def write(path: Path = PAGE) -> None:
    path.write_text(page(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    write()
