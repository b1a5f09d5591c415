"""Which modules plugins.zip gives to DAG files: those at its root, since MWAA's plugins folder is on sys.path."""

from __future__ import annotations

from collections.abc import Iterable


def root_modules(names: Iterable[str]) -> set[str]:
    """The modules and packages at the root of an archive with these members."""
    tops = (name.partition("/") for name in names if name.endswith(".py"))
    found = {top if slash else top.removesuffix(".py") for top, slash, _ in tops}
    return {name for name in found if name.isidentifier()}
