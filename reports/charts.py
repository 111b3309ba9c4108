"""Small charts as inline SVG: coloured by classes of the page's style, named for screen readers."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from phloem.reports.numerals import count, percent

HEAT_STEPS = 8  # shades of a heat cell beside none; more cannot be told apart

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 640, 220, 8, 22, 30
_WIDEST = 80  # of a column and its gap: three bins should not fill the page


def bar(part: float, whole: float, kind: str = "kept") -> Markup:
    """A bar that fills its cell in proportion; said in the cell beside it, so hidden from readers.

    Args:
        part: Length of the bar.
        whole: Length of the full track; nothing is drawn where it is 0.
        kind: Class of the colour: ``kept``, ``dropped``, ``quarantined`` or ``plain``.
    """
    width = round(100 * part / whole, 2) if whole else 0
    return Markup(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"'
        ' focusable="false"><rect class="track" width="100" height="10"/>'
        '<rect class="fill-{}" width="{}" height="10"/></svg>'
    ).format(kind, width)


def stacked(name: str, title: str, parts: Sequence[tuple[str, int, str]]) -> Markup:
    """One bar divided into parts.

    Args:
        name: Unique on the page: its title and description are found by it.
        title: What the bar shows.
        parts: (label, count, class of the colour), in order.
    """
    whole = sum(size for _, size, _ in parts)
    told = "; ".join(f"{label} {count(size)} ({percent(size, whole)})" for label, size, _ in parts)
    drawn, start = [], 0.0
    for _, size, kind in parts:
        width = 100 * size / whole if whole else 0
        drawn.append(
            Markup('<rect class="fill-{}" x="{}" width="{}" height="10"/>').format(
                kind, round(start, 3), round(width, 3)
            )
        )
        start += width
    return Markup(
        '<svg class="stacked" viewBox="0 0 100 10" preserveAspectRatio="none" role="img"'
        ' aria-labelledby="{name}-title {name}-desc"><title id="{name}-title">{title}</title>'
        '<desc id="{name}-desc">{told}</desc><rect class="track" width="100" height="10"/>'
        "{drawn}</svg>"
    ).format(name=name, title=title, told=told, drawn=Markup("").join(drawn))


def histogram(name: str, title: str, unit: str, bins: Sequence[tuple[str, int]]) -> Markup:
    """A column for each bin, its count above it and its label below it.

    Args:
        name: Unique on the page: its title and description are found by it.
        title: What the chart shows.
        unit: What the labels are.
        bins: (label, count), in order; empty bins are drawn as gaps.
    """
    most = max((size for _, size in bins), default=0)
    step = min((_WIDTH - 2 * _LEFT) / max(len(bins), 1), _WIDEST)
    drawn = [
        _column(label, size, most, _LEFT + place * step, step)
        for place, (label, size) in enumerate(bins)
    ]
    told = "; ".join(f"{label}: {count(size)}" for label, size in bins)
    return Markup(
        '<svg class="histogram" viewBox="0 0 {width} {height}" role="img"'
        ' aria-labelledby="{name}-title {name}-desc"><title id="{name}-title">{title}</title>'
        '<desc id="{name}-desc">{unit}. {told}</desc><line class="base" x1="0" x2="{width}"'
        ' y1="{base}" y2="{base}"/>{drawn}</svg>'
    ).format(
        width=_WIDTH,
        height=_HEIGHT,
        name=name,
        title=title,
        unit=unit,
        told=told,
        base=_HEIGHT - _BOTTOM,
        drawn=Markup("").join(drawn),
    )


def _column(label: str, size: int, most: int, left: float, step: float) -> Markup:
    """One column of a histogram in the space that begins at `left`."""
    base = _HEIGHT - _BOTTOM
    height = round((base - _TOP) * size / most, 2) if most else 0
    middle = round(left + step / 2, 2)
    return Markup(
        '<rect class="fill-kept" x="{x}" y="{y}" width="{width}" height="{height}"/>'
        '<text x="{middle}" y="{above}">{size}</text>'
        '<text class="axis" x="{middle}" y="{below}">{label}</text>'
    ).format(
        x=round(left + 0.1 * step, 2),
        y=round(base - height, 2),
        width=round(0.8 * step, 2),
        height=height,
        middle=middle,
        above=round(base - height - 5, 2),
        size=_short(size),
        below=base + 16,
        label=label,
    )


def heat(part: float, whole: float) -> str:
    """Class of a cell's shade: ``heat-0`` for nothing, up to ``heat-8`` for all."""
    if not whole or not part:
        return "heat-0"
    return f"heat-{max(1, min(HEAT_STEPS, round(HEAT_STEPS * part / whole)))}"


def _short(size: int) -> str:
    """A count in at most four characters or so: 950, 12k, 3.4M; nothing for 0."""
    if not size:
        return ""
    for unit, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if size >= unit:
            scaled = size / unit
            return f"{scaled:.0f}{letter}" if scaled >= 10 else f"{scaled:.1f}{letter}"  # noqa: PLR2004
    return str(size)
