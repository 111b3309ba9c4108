"""From what a record says of its licence to an SPDX expression."""

from __future__ import annotations

import re
from functools import cache, lru_cache

import license_expression
from license_expression import ExpressionError, ExpressionParseError, Licensing

from phloem.catalog.licenses import MAX_EXPRESSION, PUBLIC_DOMAIN, UNKNOWN_LICENSE
from phloem.sources.formats.creative_commons import ADDRESS, spdx_of

_FREE = re.compile(r"(?:in the )?public[\s_-]+domain", re.IGNORECASE)

_SHORT = re.compile(r"CC[\s-]+BY(?:[\s-]+(?:NC|ND|SA))*[\s-]+[1-4]\.[05]", re.IGNORECASE)


@lru_cache(4096)
def stated(said: str | None) -> str:
    """The SPDX expression that a record's column or key says, in the list's own spelling.

    That is an expression whose ids the SPDX list has, in any case (`cc-by-4.0`), one of Creative
    Commons with blanks for its hyphens (`CC BY-SA 3.0`), or one address of Creative Commons, alone
    or among words; and `LicenseRef-public-domain` for the words ``public domain`` alone. All else
    is `UNKNOWN_LICENSE`: nothing, a name such as ``MIT License``, an address of a port, two
    addresses, and a `LicenseRef-` of any kind, since what such a name stands for is each maker's
    own.
    """
    addresses = ADDRESS.findall(said or "")
    if addresses:
        found = {spdx_of(address.rstrip(".,;")) for address in addresses}
        return (found.pop() if len(found) == 1 else None) or UNKNOWN_LICENSE
    if not said or len(said) > MAX_EXPRESSION or "licenseref" in said.casefold():
        return UNKNOWN_LICENSE
    if _FREE.fullmatch(said.strip()):
        return PUBLIC_DOMAIN
    if _SHORT.fullmatch(said.strip()):
        said = "-".join(said.split())
    try:
        tree = _licensing().parse(said, validate=True, strict=True)
    except (ExpressionError, ExpressionParseError, RecursionError):
        return UNKNOWN_LICENSE
    return UNKNOWN_LICENSE if tree is None else str(tree.render())


@cache
def _licensing() -> Licensing:
    return license_expression.get_spdx_licensing()
