"""What a licence asks of those who pass text on, as algebra over SPDX expressions.

The obligations follow the licences' own texts as the SPDX licence list (https://spdx.org/licenses/)
publishes them; for the Creative Commons family, the licence elements of each deed. This is what a
machine can check, and no legal advice: a person reads the evidence that a source card names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import license_expression
from license_expression import ExpressionError, ExpressionParseError, LicenseWithExceptionSymbol

from phloem.catalog.errors import PhloemError

NOTICE = "notice"  # keep the copyright notice and the licence's text
ATTRIBUTION = "attribution"  # name the author and the source where the text is shown
SHARE_ALIKE = "share_alike"  # adaptations under the same licence
SOURCE_DISCLOSURE = "source_disclosure"  # hand on the preferred form for changes (copyleft)
NO_DERIVATIVES = "no_derivatives"  # no adaptation may be shared
NONCOMMERCIAL = "noncommercial"  # no commercial use
UNMODELLED = "unmodelled"  # something else, which nothing here can hold a run to
UNKNOWN = "unknown"  # nobody has said

WEIGHTS: Mapping[str, int] = MappingProxyType(
    {
        NOTICE: 1,
        ATTRIBUTION: 2,
        SHARE_ALIKE: 4,
        SOURCE_DISCLOSURE: 8,
        NO_DERIVATIVES: 16,
        NONCOMMERCIAL: 32,
        UNMODELLED: 64,
        UNKNOWN: 128,
    }
)
"""Each outweighs all before it, so that a sum orders sets and a subset is never worse."""

OBLIGATIONS = tuple(WEIGHTS)
MAX_EXPRESSION = 4096  # characters; a real expression has at most a few hundred

Obligations = frozenset[str]
Refs = Mapping[str, Sequence[str]]  # LicenseRef-* -> obligations, as somebody decided them
NO_REFS: Refs = MappingProxyType({})

CUSTOM = "LicenseRef-custom-terms"  # one provider's terms: the card says what they allow
RESEARCH = "LicenseRef-research-use"  # research and nothing else: the card says of what kind
MULTIPLE = "LicenseRef-multiple"  # each document has its own licence, or is under nobody knows what
PUBLIC_DOMAIN = "LicenseRef-public-domain"
UNKNOWN_LICENSE = "LicenseRef-unknown"  # nobody has said which, or in no words that are known
UNREAD = "unknown"  # of a card's `license.restrictions`: nobody has read, or the terms do not say

# What a card's `license.restrictions` says that a person read in the terms, and what it obliges to.
_READ: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("commercial", "forbidden"): NONCOMMERCIAL,
        ("derivatives", "forbidden"): NO_DERIVATIVES,
        ("share_alike", "required"): SHARE_ALIKE,
        ("ai_training", "forbidden"): UNMODELLED,
    }
)


# Of terms that the list does not know, what a person must have read before anything is.
_TOLD = ((CUSTOM, "commercial"), (CUSTOM, "derivatives"), (RESEARCH, "derivatives"))


def _versions(stem: str, versions: str, suffixes: str = "") -> list[str]:
    """`stem-version` for each, and with each suffix if there are any."""
    ids = [f"{stem}-{version}" for version in versions.split()]
    return [f"{id_}{suffix}" for id_ in ids for suffix in suffixes.split("|")] if suffixes else ids


_GNU = "|+|-only|-or-later"  # the first two are the deprecated spellings of the other two
_CC = "1.0 2.0 2.5 3.0 4.0"

# No condition at all: CC0 section 2-3, PDDL section 3, Unlicense; 0BSD and MIT-0 ask for no notice.
_FREE = (
    "CC0-1.0 CC-PDDC CC-PDM-1.0 PDDL-1.0 Unlicense 0BSD MIT-0 WTFPL blessing SAX-PD NIST-PD"
    " ANTLR-PD libselinux-1.0"
).split()

# Permissive: a notice goes along with copies, and nothing else.
_NOTICE = (
    "MIT MIT-CMU MIT-Modern-Variant MIT-Wu MIT-enna MIT-feh MITNFA X11 ISC Zlib Libpng"
    " libpng-2.0 zlib-acknowledgement BSL-1.0 BSD-1-Clause BSD-2-Clause BSD-2-Clause-Patent"
    " BSD-2-Clause-Views BSD-2-Clause-Darwin BSD-3-Clause BSD-3-Clause-Clear"
    " BSD-3-Clause-Attribution BSD-3-Clause-LBNL BSD-3-Clause-Modification BSD-4-Clause"
    " BSD-4-Clause-UC BSD-Source-Code SSH-OpenSSH Apache-1.0 Apache-1.1 Apache-2.0 PostgreSQL"
    " PSF-2.0 Python-2.0 Python-2.0.1 CNRI-Python Unicode-DFS-2015 Unicode-DFS-2016 Unicode-3.0"
    " ICU NCSA"
    " W3C W3C-19980720 W3C-20150513 FSFAP FSFUL FSFULLR FSFULLRWD HPND NTP OpenSSL curl"
    " bzip2-1.0.6 TCL Ruby PHP-3.0 PHP-3.01 Info-ZIP IJG SMLNJ Spencer-94 Spencer-99 BlueOak-1.0.0"
    " UPL-1.0 ECL-1.0 ECL-2.0 EFL-2.0 MulanPSL-2.0 OLDAP-2.8 Artistic-1.0 Artistic-1.0-Perl"
    " Artistic-1.0-cl8 Artistic-2.0 ClArtistic LPPL-1.0 LPPL-1.1 LPPL-1.2 LPPL-1.3a LPPL-1.3c"
    " AFL-1.1 AFL-1.2 AFL-2.0 AFL-2.1 AFL-3.0 FreeBSD-DOC FTL Beerware CECILL-B ZPL-2.0 ZPL-2.1"
    " NAIST-2003 RSA-MD Xnet VSL-1.0 CDLA-Permissive-1.0 CDLA-Permissive-2.0 GLWTPL Saxpath"
    " TU-Berlin-2.0 Plexus Newsletr mpich2"
).split()

# Credit where the text is shown: CC BY section 3(a), ODC-By section 4, open government licences.
_ATTRIBUTION = [
    *_versions("CC-BY", _CC),
    *"CC-BY-2.5-AU CC-BY-3.0-AT CC-BY-3.0-AU CC-BY-3.0-DE CC-BY-3.0-IGO CC-BY-3.0-NL".split(),
    *"CC-BY-3.0-US ODC-By-1.0 OGL-UK-1.0 OGL-UK-2.0 OGL-UK-3.0 OGL-Canada-2.0".split(),
    *"OPL-UK-3.0 O-UDA-1.0 etalab-2.0 DL-DE-BY-2.0 NLOD-1.0 NLOD-2.0 OGDL-Taiwan-1.0 OGTSL".split(),
]

# Credit, and adaptations under the same licence. The GNU FDL without invariant sections is free by
# Debian's vote of 2006-03-12; SPDX names a document with them apart, and those may not be changed.
_SHARE_ALIKE = [
    *_versions("CC-BY-SA", _CC),
    *"CC-BY-SA-2.0-UK CC-BY-SA-2.1-JP CC-BY-SA-3.0-AT CC-BY-SA-3.0-DE CC-BY-SA-3.0-IGO".split(),
    *"ODbL-1.0 CDLA-Sharing-1.0 LAL-1.2 LAL-1.3 Linux-man-pages-copyleft OPUBL-1.0".split(),
    *"OFL-1.0 OFL-1.1 OFL-1.0-RFN OFL-1.0-no-RFN OFL-1.1-RFN OFL-1.1-no-RFN MS-PL".split(),
    *_versions("GFDL", "1.1 1.2 1.3", "|-only|-or-later"),
    *_versions("GFDL", "1.1 1.2 1.3", "-no-invariants-only|-no-invariants-or-later"),
]
_INVARIANT = _versions("GFDL", "1.1 1.2 1.3", "-invariants-only|-invariants-or-later")

# Copyleft: GPL-2.0 section 3, MPL-2.0 section 3.2, EUPL-1.2 article 5 and their kin.
_COPYLEFT = [
    *_versions("GPL", "1.0 2.0 3.0", _GNU),
    *_versions("LGPL", "2.0 2.1 3.0", _GNU),
    *_versions("AGPL", "1.0 3.0", "|-only|-or-later"),
    *"MPL-1.0 MPL-1.1 MPL-2.0 MPL-2.0-no-copyleft-exception EPL-1.0 EPL-2.0 CDDL-1.0".split(),
    *"CDDL-1.1 CPL-1.0 IPL-1.0 EUPL-1.0 EUPL-1.1 EUPL-1.2 CECILL-1.0 CECILL-1.1".split(),
    *"CECILL-2.0 CECILL-2.1 CECILL-C OSL-1.0 OSL-2.0 OSL-2.1 OSL-3.0 QPL-1.0 Sleepycat".split(),
    *"APSL-2.0 MS-RL SISSL NPL-1.1 Vim RPL-1.5 LGPLLR copyleft-next-0.3.1".split(),
]

_ND = [*_versions("CC-BY-ND", _CC), "CC-BY-ND-3.0-DE"]
_NC = [*_versions("CC-BY-NC", _CC), "CC-BY-NC-3.0-DE", "PolyForm-Noncommercial-1.0.0"]
_NC_SA = [
    *_versions("CC-BY-NC-SA", _CC),
    *"CC-BY-NC-SA-2.0-DE CC-BY-NC-SA-2.0-FR CC-BY-NC-SA-2.0-UK CC-BY-NC-SA-3.0-DE".split(),
    "CC-BY-NC-SA-3.0-IGO",
]
_NC_ND = [*_versions("CC-BY-NC-ND", _CC), "CC-BY-NC-ND-3.0-DE", "CC-BY-NC-ND-3.0-IGO"]

_FAMILIES: tuple[tuple[Iterable[str], Obligations], ...] = (
    (_FREE, frozenset()),
    (_NOTICE, frozenset({NOTICE})),
    (_ATTRIBUTION, frozenset({ATTRIBUTION})),
    (_SHARE_ALIKE, frozenset({ATTRIBUTION, SHARE_ALIKE})),
    (_INVARIANT, frozenset({ATTRIBUTION, SHARE_ALIKE, NO_DERIVATIVES})),
    (_COPYLEFT, frozenset({NOTICE, SHARE_ALIKE, SOURCE_DISCLOSURE})),
    (_ND, frozenset({ATTRIBUTION, NO_DERIVATIVES})),
    (_NC, frozenset({ATTRIBUTION, NONCOMMERCIAL})),
    (_NC_SA, frozenset({ATTRIBUTION, SHARE_ALIKE, NONCOMMERCIAL})),
    (_NC_ND, frozenset({ATTRIBUTION, NO_DERIVATIVES, NONCOMMERCIAL})),
)
LICENSES: Mapping[str, Obligations] = MappingProxyType(
    {id_: duties for ids, duties in _FAMILIES for id_ in ids}
)
_BY_FOLDED = MappingProxyType({id_.casefold(): id_ for id_ in LICENSES})

# Exceptions only add permissions, for programs; text keeps its licence's obligations.
EXCEPTIONS = frozenset(
    "Autoconf-exception-2.0 Autoconf-exception-3.0 Bison-exception-1.24 Bison-exception-2.2"
    " Classpath-exception-2.0 Font-exception-2.0 GCC-exception-2.0 GCC-exception-3.1"
    " GPL-3.0-linking-exception LGPL-3.0-linking-exception LLVM-exception Libtool-exception"
    " Linux-syscall-note OCaml-LGPL-linking-exception OpenJDK-assembly-exception-1.0"
    " Qt-GPL-exception-1.0 Qt-LGPL-exception-1.1 Texinfo-exception Universal-FOSS-exception-1.0"
    " WxWindows-exception-3.1 openvpn-openssl-exception u-boot-exception-2.0".split()
)
_FOLDED_EXCEPTIONS = frozenset(name.casefold() for name in EXCEPTIONS)


class LicenseError(PhloemError, ValueError):
    """An expression that is no SPDX expression, or a LicenseRef with unknown obligations."""


def obligations(expression: str | None, refs: Refs = NO_REFS) -> Obligations:
    """What an SPDX expression asks: AND adds up, OR takes the least restrictive alternative.

    Args:
        expression: SPDX licence expression (SPDX 2.3, annex D). Nothing, or what is no
            expression, asks nobody knows what.
        refs: Obligations of each `LicenseRef-*` that somebody decided.

    Returns:
        Some of `OBLIGATIONS`; `unknown` is among them if any id of the chosen alternative is
        in neither table.
    """
    try:
        tree = _parse(expression)
    except LicenseError:
        return frozenset({UNKNOWN})
    return min(_alternatives(tree, _known_refs(refs)), key=_restriction)


def obligations_of_card(
    expression: str | None, restrictions: Mapping[str, str] | None, refs: Refs = NO_REFS
) -> Obligations:
    """What a source's licence asks before one document of it is read.

    What a person read in the terms adds to what the expression says, and of terms that no other
    provider has it says all: they ask nobody knows what until somebody has read of both commercial
    use and changed copies; of those that allow research, of changed copies. Where each document has
    its own licence, each is judged by itself, and what the collection asks is asked of all.

    Args:
        expression: The card's `license.spdx`, with that of its collection (`in_collection`).
        restrictions: The card's `license.restrictions`.
        refs: Obligations of each `LicenseRef-*` that somebody decided.
    """
    if expression and MULTIPLE.casefold() in expression.casefold():
        return obligations(expression, {**refs, MULTIPLE: ()})
    read = restrictions or {}
    found = obligations(expression, refs) | {
        duty for (field, said), duty in _READ.items() if read.get(field) == said
    }
    named = (expression or "").casefold()
    said = [read.get(field, UNREAD) for name, field in _TOLD if name.casefold() in named]
    return found | {UNKNOWN} if UNREAD in said else found


def in_collection(expression: str, collection: str | None) -> str:
    """The expression of a text that lies in a collection: both licences hold, and one is said once.

    Args:
        expression: Of the text.
        collection: Of the collection as such, where it differs. None: nobody claims one.

    Example:
        >>> in_collection("MIT OR GPL-2.0-only", "CC-BY-NC-4.0")
        '(MIT OR GPL-2.0-only) AND CC-BY-NC-4.0'
    """
    if not collection:
        return expression
    try:
        own, other = _parse(expression), _parse(collection)
    except LicenseError:
        return UNKNOWN_LICENSE  # what is no expression asks nobody knows what, alone or beside it
    if _all_of(other) <= _all_of(own):
        return expression
    parts = ((own, expression), (other, collection))
    return " AND ".join(
        f"({said})" if isinstance(tree, license_expression.OR) else said for tree, said in parts
    )


def _all_of(tree: license_expression.LicenseExpression) -> set[str]:
    """The parts that an expression asks for all of."""
    parts = tree.args if isinstance(tree, license_expression.AND) else (tree,)
    return {part.render().casefold() for part in parts}


def ordered(duties: Obligations) -> tuple[str, ...]:
    """Obligations, the least restrictive first."""
    return tuple(duty for duty in OBLIGATIONS if duty in duties)


def clarity(expression: str | None, refs: Refs = NO_REFS) -> int:
    """How clear a licence is, for choosing among copies of a text: 0 is the public domain.

    The sum of the weights of its obligations: public domain < permissive < attribution <
    share-alike < copyleft < no derivatives < non-commercial < unmodelled < unknown.
    """
    return int(_restriction(obligations(expression, refs))[0])


def _parse(expression: str | None) -> license_expression.LicenseExpression:
    if not expression or not expression.strip() or len(expression) > MAX_EXPRESSION:
        msg = f"no licence expression: {'' if expression is None else len(expression)} characters"
        raise LicenseError(msg)
    try:
        # No list of symbols is handed over: the library's would rename ids by their aliases.
        tree = license_expression.Licensing().parse(expression)
    except (ExpressionError, ExpressionParseError, RecursionError) as error:
        msg = f"{expression[:80]!r} is no SPDX expression: {type(error).__name__}"
        raise LicenseError(msg) from None
    if tree is None:
        msg = f"{expression[:80]!r} is no SPDX expression: it is empty"
        raise LicenseError(msg)
    return tree


def _known_refs(refs: Refs) -> Mapping[str, Obligations]:
    wrong = sorted({duty for duties in refs.values() for duty in duties} - set(OBLIGATIONS))
    if wrong:
        msg = f"no obligation named {wrong[0]!r}; there are {', '.join(OBLIGATIONS)}"
        raise LicenseError(msg)
    return {name.casefold(): frozenset(duties) for name, duties in refs.items()}


def _of_id(id_: str, refs: Mapping[str, Obligations]) -> Obligations:
    folded = id_.casefold()
    if folded in refs:
        return refs[folded]
    name = _BY_FOLDED.get(folded) or _BY_FOLDED.get(folded.removesuffix("+"))
    return frozenset({UNKNOWN}) if name is None else LICENSES[name]


def _alternatives(
    tree: license_expression.LicenseExpression, refs: Mapping[str, Obligations]
) -> set[Obligations]:
    """The ways to satisfy an expression, without those that ask for more than another one."""
    if isinstance(tree, LicenseWithExceptionSymbol):
        duties = _of_id(tree.license_symbol.key, refs)
        known = tree.exception_symbol.key.casefold() in _FOLDED_EXCEPTIONS
        return {duties if known else duties | {UNKNOWN}}
    if isinstance(tree, license_expression.LicenseSymbol):
        return {_of_id(tree.key, refs)}
    parts = [_alternatives(part, refs) for part in tree.args]
    ways = parts[0]
    for part in parts[1:]:
        is_or = isinstance(tree, license_expression.OR)
        ways = ways | part if is_or else {one | other for one in ways for other in part}
        ways = {way for way in ways if not any(other < way for other in ways)}
    return ways


def _restriction(duties: Obligations) -> tuple[int, tuple[str, ...]]:
    return sum(WEIGHTS[duty] for duty in duties), tuple(sorted(duties))
