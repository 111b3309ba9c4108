"""How quantities are written on a page: for people, in one way everywhere."""

from __future__ import annotations

MEGABYTE = 10**6  # SI, IEC 80000-13: a MB is 10^6 bytes


def count(value: float | None) -> str:
    """A whole number with thousands separated; a dash for None."""
    return "–" if value is None else f"{round(value):,}"


def percent(part: float, whole: float) -> str:
    """A share in per cent with one decimal; a dash where the whole is nothing."""
    if not whole:
        return "–"
    share = 100 * part / whole
    if 0 < share < 0.05:  # noqa: PLR2004 - would round to 0.0
        return "<0.1 %"
    return f"{share:.1f} %"


def megabytes(value: float | None) -> str:
    """Bytes as MB, with more digits where there are few; a dash for None."""
    if value is None:
        return "–"
    size = value / MEGABYTE
    if 0 < size < 0.001:  # noqa: PLR2004 - would round to 0.000
        return "<0.001"
    if 0 < size < 1:
        return f"{size:.3f}"
    return f"{size:,.1f}"


def seconds(value: float) -> str:
    """A duration in seconds or, from two minutes on, in minutes and seconds."""
    if value < 120:  # noqa: PLR2004
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes:,} min {rest:02d} s"


def decimal(value: float | None) -> str:
    """A measured number as short as it can be said to four significant digits."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"
