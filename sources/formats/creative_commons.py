"""From the address of a Creative Commons licence to its SPDX identifier."""

from __future__ import annotations

import re

_ADDRESS = re.compile(
    r"(?:https?:)?(?://)?(?:www\.)?creativecommons\.org/"
    r"(?:licenses/(?P<terms>by(?:-nc)?(?:-nd|-sa)?)/(?P<version>[1-4]\.[05])(?P<port>/igo)?"
    r"|publicdomain/(?P<zero>zero)/1\.0)"
    r"(?:/(?:deed(?:\.[a-z-]+)?|legalcode(?:\.[a-z-]+)?)?)?",
    re.IGNORECASE,
)
_IGO = frozenset({"by", "by-nc", "by-nc-nd", "by-nc-sa", "by-sa"})  # at 3.0, in SPDX's list


def spdx_of(address: str) -> str | None:
    """The SPDX identifier of a licence's address; None for what is none, or ported to one country.

    A port has terms of its own, and SPDX lists only some.
    """
    found = _ADDRESS.fullmatch(address.strip())
    if found is None:
        return None
    if found["zero"]:
        return "CC0-1.0"
    terms = found["terms"].lower()
    if found["port"]:
        known = found["version"] == "3.0" and terms in _IGO
        return f"CC-{terms.upper()}-3.0-IGO" if known else None
    return f"CC-{terms.upper()}-{found['version']}"
