"""The bound of a keep rule, which may differ by language."""

from __future__ import annotations

from collections.abc import Mapping

Bound = float | Mapping[str, float]


def bound_of(bound: Bound | None, language: str | None) -> float | None:
    """The bound that holds for a language: of its tag, of its primary subtag, or the default."""
    if bound is None or isinstance(bound, (int, float)):
        return bound
    tag = language or "default"
    return bound.get(tag, bound.get(tag.split("-")[0], bound.get("default")))
