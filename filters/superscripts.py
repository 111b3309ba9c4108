"""What stands above or below the line, written on the line so that it joins no other number."""

from __future__ import annotations

_EXPONENTS = frozenset("ijkmnpqrtxyz")  # single letters that are none of an ordinal or abbreviation
_SIGNED = frozenset("+-−–±*′")


def superscript(before: str, inside: str) -> str:
    """A superscript as text: `^6` behind `10`, `er` behind `1`.

    A caret stands before what begins with a digit or a sign, and before one letter that is an
    exponent, unless a blank or nothing is before: isotopes, and marks of notes, join nothing.

    Args:
        before: What stands before it.
        inside: What it holds.
    """
    held = inside.strip()
    last = before[-1:]
    if not held or not (last.isalnum() or last in {")", "]", "}", "′"}) or not last:
        return inside
    power = held[0].isdigit() or held[0] in _SIGNED or held in _EXPONENTS
    return f"^{held}" if power else inside


def subscript(before: str, inside: str) -> str:
    """A subscript as text: `2` behind `H`, `_2` behind `10`, `_max` behind `v`.

    A number joins the letter before, as in formulas of chemistry.

    Args:
        before: What stands before it.
        inside: What it holds.
    """
    held = inside.strip()
    last = before[-1:]
    if not held or not last.isalnum():
        return inside
    joins = last.isalpha() and held.isdecimal()
    return inside if joins else f"_{held}"
