"""Phloem: governed training tokens from hand-chosen text sources.

`phloem.__all__` lists the names that users build on, each with an example in its docstring, and
what their documented attributes lead to. Every other name is private: it may change in any version
without a word. A name is imported when it is first used, so that `import phloem` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what type checkers and editors read; tests/test_face.py holds both lists equal
    from phloem.catalog import columns
    from phloem.catalog.errors import PhloemError, UseError
    from phloem.catalog.handoff.loader import as_torch
    from phloem.filters.op import op
    from phloem.pipeline.face import explain, ledger, load_recipe, open_release, query, run
    from phloem.pipeline.recipe import Recipe
    from phloem.sources.cards.source import Source

__all__ = [
    "PhloemError",
    "Recipe",
    "Source",
    "UseError",
    "as_torch",
    "columns",
    "explain",
    "ledger",
    "load_recipe",
    "op",
    "open_release",
    "query",
    "run",
]

_HOMES = {
    "PhloemError": "phloem.catalog.errors:PhloemError",
    "Recipe": "phloem.pipeline.recipe:Recipe",
    "Source": "phloem.sources.cards.source:Source",
    "UseError": "phloem.catalog.errors:UseError",
    "as_torch": "phloem.catalog.handoff.loader:as_torch",
    "columns": "phloem.catalog.columns",
    "explain": "phloem.pipeline.face:explain",
    "ledger": "phloem.pipeline.face:ledger",
    "load_recipe": "phloem.pipeline.face:load_recipe",
    "op": "phloem.filters.op:op",
    "open_release": "phloem.pipeline.face:open_release",
    "query": "phloem.pipeline.face:query",
    "run": "phloem.pipeline.face:run",
}

if not TYPE_CHECKING:  # a type checker would take every name for one that there is

    def __getattr__(name: str) -> object:
        """Import a name when it is first used (PEP 562)."""
        if name not in _HOMES:
            msg = f"module 'phloem' has no attribute {name!r}; it has {', '.join(__all__)}"
            raise AttributeError(msg)
        from pkgutil import resolve_name

        return globals().setdefault(name, resolve_name(_HOMES[name]))


def __dir__() -> list[str]:
    return list(__all__)
