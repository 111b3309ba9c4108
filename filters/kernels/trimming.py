"""Serialised HTML without what its text does not depend on."""

# ruff: noqa: C901, PLR0912, PLR0915, PLR0917, PLR2004 - a kernel is one flat loop over arrays that
# are handed to it one by one.

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from phloem.filters.kernels import inlined, kernel
from phloem.filters.kernels.hashing import BASIS, fold, word_hash
from phloem.filters.kernels.utf8 import Bytes, Scalar

Hashes = npt.NDArray[np.uint64]

# What becomes of an element: KEPT, its tags stay, and the blanks beside them; BLOCK, they
# stay, and the blanks do not; TOLD, its attributes stay too, as do those of a block that spans rows
# or columns of a table; CODE, it is a <pre>, whose text
# stays as it is; PASSED, it is taken out with all that it holds; RAW, so too, and its text is no
# markup; LASTING, it is never hidden; EDITED, a page that holds it is edited before. Of any other
# the tags are taken out, and what it holds stays.
KEPT, BLOCK, TOLD, CODE, PASSED, RAW, LASTING, EDITED = 1, 2, 4, 8, 16, 32, 64, 128
# What the value of an attribute says of its element: that it is not shown; that it is, though it
# has the attribute `hidden`; that it is code; that its page is edited before, and so where it is
# read itself; two that say together that it is not shown, as Docutils marks a table of contents.
HIDDEN, SHOWN, CODED, EDITING, LEADING, CONTENTS, TOPIC = 1, 2, 4, 8, 16, 32, 64

LESS, MORE, BANG, ASKED, DASH, STROKE = (np.uint8(ord(char)) for char in "<>!?-/")
QUOTE, EQUALS, BLANK, SEMICOLON, DOLLAR, ESCAPE = (np.uint8(ord(char)) for char in '"= ;$\\')
# The first stands where a block was taken out, and for the tags of blocks in code. It is one short
# tag since the shortest of those are `<p>` and `</p>`: what is written never outgrows `out`.
GAP, PRE, PRE_END = (np.frombuffer(tag, np.uint8) for tag in (b"<dd>", b"<pre>", b"</pre>"))

_CLASS, _ID, _ROLE, _REL, _STYLE, _HIDDEN, _ARIA, _TYPE, _REVERSED, _POPOVER, _ALT = (
    np.uint64(word_hash(name))
    for name in "class id role rel style hidden aria-hidden type reversed popover alt".split()
)
_COLSPAN, _ROWSPAN = (np.uint64(word_hash(name)) for name in ("colspan", "rowspan"))
_A, _BR, _DIV, _HR = (np.uint64(word_hash(name)) for name in ("a", "br", "div", "hr"))
_TRUE, _UNTIL_FOUND = (np.uint64(word_hash(word)) for word in ("true", "until-found"))
_DISPLAY, _VISIBILITY, _SPACE, _WRAPPED, _MONO, _TEX, _SUPER, _SUB = (
    np.frombuffer(said.encode(), np.uint8)
    for said in (
        *("display:none", "visibility:hidden", "white-space:pre;", "white-space:pre-wrap"),
        *("monospace", "math/tex", "vertical-align:super", "vertical-align:sub"),
    )
)
# The signs before the words of a class, an id, a role and a link, which tell them apart in one
# table.
_DOT, _HASH, _AT, _AND = (np.uint64(word_hash(sign)) for sign in ".#@&")


@inlined
def _place(table: Hashes, key: np.uint64) -> Scalar:
    """Where a key stands in a sorted table, or -1."""
    low, high = 0, table.size
    while low < high:
        middle = (low + high) >> 1
        if table[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low if low < table.size and table[low] == key else -1


@inlined
def _holds(html: Bytes, at: Scalar, end: Scalar, said: Bytes) -> bool:
    """Whether a value holds some words in small letters, whatever the case of its own.

    Blanks are not read, and a semicolon at the words' end may be the value's end.
    """
    for start in range(at, end):
        here, seen = start, 0
        while here < end and seen < said.size:
            if html[here] > BLANK and html[here] | 0x20 == said[seen]:
                seen += 1
            elif html[here] > BLANK or seen == 0:
                break
            here += 1
        if seen == said.size or (here == end and seen == said.size - 1 and said[seen] == SEMICOLON):
            return True
    return False


@inlined
def _copy(html: Bytes, at: Scalar, end: Scalar, out: Bytes, to: Scalar) -> Scalar:
    """Copy bytes; returns where they end."""
    for byte in range(at, end):
        out[to] = html[byte]
        to += 1
    return to


@kernel
def trim(
    html: Bytes,
    tags: Hashes,
    kinds: Bytes,
    words: Hashes,
    says: Bytes,
    owners: Hashes,
    out: Bytes,
) -> tuple[int, bool]:
    """Write a page without comments, hidden elements, tags that part nothing, and spare blanks.

    Of tags of <div> that follow one another the first alone stays: pages have most of them so.

    Returns how many bytes were written, and whether the page holds what is edited before.

    Args:
        html: A page as it is serialised (WHATWG HTML, 13.3): attributes quoted, elements closed.
        tags: The hashes of names of elements, ascending.
        kinds: What becomes of each.
        words: The hashes of words of attributes after their sign, ascending.
        says: What each says.
        owners: The hash of the element of which it says that; 0: of all.
        out: Twice as long as the page, for the tags of what is taken out.
    """
    at, to, size = 0, 0, html.size
    edited = False
    inside, depth = np.uint64(0), 0  # the name of the element that is passed over
    code, nested = np.uint64(0), 0  # that of the element whose text is code
    blank = True  # no blank is written next
    parted = -1  # where the tag of a <div> ends that was written last
    while at < size:
        char = html[at]
        if char != LESS:
            if depth == 0:
                if nested == 0 and (char == BLANK or 9 <= char <= 13):
                    if not blank:
                        out[to] = BLANK
                        to += 1
                    blank = True
                else:
                    out[to] = char
                    to += 1
                    blank = False
            at += 1
            continue
        if at + 3 < size and html[at + 1] in (BANG, ASKED):
            if html[at + 1] == BANG and html[at + 2] == DASH and html[at + 3] == DASH:
                at += 4
                while at < size and not (
                    html[at] == MORE and html[at - 1] == DASH and html[at - 2] == DASH
                ):
                    at += 1
            while at < size and html[at] != MORE:
                at += 1
            at += 1
            continue
        closing = at + 1 < size and html[at + 1] == STROKE
        start = at + 2 if closing else at + 1
        stop = start
        name = BASIS
        while stop < size and html[stop] != BLANK and html[stop] != MORE:
            name = fold(name, html[stop])
            stop += 1
        place = _place(tags, name)
        kind = int(kinds[place]) if place >= 0 else 0
        here = stop
        said, hides, spans = 0, False, False
        while here < size and html[here] == BLANK:
            key = BASIS
            here += 1
            first = here
            while here < size and (html[here] != EQUALS or here == first):
                key = fold(key, html[here])
                here += 1
            here += 2
            first = here
            while here < size and html[here] != QUOTE:
                here += 1
            if key in (_CLASS, _ID, _ROLE, _REL):
                sign = (
                    _DOT
                    if key == _CLASS
                    else _HASH
                    if key == _ID
                    else _AT
                    if key == _ROLE
                    else _AND
                )
                word = sign
                for byte in range(first, min(here + 1, size)):
                    if html[byte] > BLANK and byte < here:
                        word = fold(word, html[byte])
                        if html[byte] != DASH or name != _A or sign != _DOT:
                            continue
                        found = _place(words, word)  # what the classes of a link begin with
                        if found >= 0:
                            said |= int(says[found])
                        continue
                    found = _place(words, word)
                    if found >= 0 and owners[found] in (np.uint64(0), name):
                        said |= int(says[found])
                    word = sign
            elif key == _STYLE:
                if _holds(html, first, here, _DISPLAY) or _holds(html, first, here, _VISIBILITY):
                    said |= HIDDEN
                if _holds(html, first, here, _SPACE) or (
                    _holds(html, first, here, _WRAPPED) and _holds(html, first, here, _MONO)
                ):
                    said |= CODED
                if _holds(html, first, here, _SUPER) or _holds(html, first, here, _SUB):
                    said |= EDITING
            elif key == _ALT:
                if first < here and html[first] in (DOLLAR, ESCAPE):
                    said |= EDITING
            elif key in (_HIDDEN, _ARIA):
                word = BASIS
                for byte in range(first, here):
                    word = fold(word, html[byte])
                if key == _HIDDEN:
                    hides = word != _UNTIL_FOUND
                elif name == _A and word == _TRUE:
                    said |= HIDDEN
            elif key in (_COLSPAN, _ROWSPAN):
                spans = True
            elif key == _POPOVER:
                said |= HIDDEN
            elif key == _REVERSED or (key == _TYPE and _holds(html, first, here, _TEX)):
                said |= EDITING
            here += 1
        end = min(here + 1, size)
        if closing:
            if depth > 0:
                depth -= int(name == inside)
            elif nested > 0 and name == code:
                nested -= 1
                if nested == 0:
                    to = _copy(PRE_END, 0, PRE_END.size, out, to)
                    blank = True
                else:
                    to = _copy(GAP, 0, GAP.size, out, to)
            elif nested > 0 and kind & CODE:
                to = _copy(GAP, 0, GAP.size, out, to)
            elif kind & (KEPT | BLOCK):
                if kind & BLOCK and nested == 0:
                    to -= int(to > 0 and blank and out[to - 1] == BLANK)
                    blank = True
                if parted != to or name != _DIV:
                    to = _copy(html, at, end, out, to)
                    parted = to if name == _DIV and nested == 0 else -1
            at = end
            continue
        edited |= kind & EDITED != 0 or said & EDITING != 0
        edited |= depth == 0 and said & (LEADING | HIDDEN) == LEADING
        if kind & RAW:
            while end < size and not (
                html[end] == LESS and end + 1 < size and html[end + 1] == STROKE
            ):
                end += 1
            while end < size:
                same = html[end] == LESS and end + 2 + stop - start < size
                if same and html[end + 1] == STROKE:
                    for byte in range(stop - start):
                        if html[end + 2 + byte] != html[start + byte]:
                            same = False
                            break
                    if same and html[end + 2 + stop - start] == MORE:
                        end += 3 + stop - start
                        break
                end += 1
            at = end
            continue
        both = said & CONTENTS != 0 and said & TOPIC != 0
        hidden = said & HIDDEN != 0 or both or (hides and not said & SHOWN)
        if depth > 0:
            depth += int(name == inside)
        elif nested > 0 and name == code and not hidden:
            nested += 1
            to = _copy(GAP, 0, GAP.size, out, to)
        else:
            taken = kind & PASSED != 0 or (hidden and not kind & LASTING)
            if kind & BLOCK and nested == 0:
                to -= int(to > 0 and blank and out[to - 1] == BLANK)
                blank = True
            if taken:
                inside, depth = name, 1
                if kind & BLOCK:
                    to = _copy(GAP, 0, GAP.size, out, to)
            elif nested > 0 and kind & CODE:
                to = _copy(GAP, 0, GAP.size, out, to)
            elif kind & CODE or (
                nested == 0 and kind & BLOCK and said & CODED and name not in (_BR, _HR)
            ):
                code, nested = name, 1
                to = _copy(PRE, 0, PRE.size, out, to)
            elif kind & TOLD or (kind & BLOCK and spans):
                to = _copy(html, at, end, out, to)
            elif kind & (KEPT | BLOCK) and (parted != to or name != _DIV):
                to = _copy(html, at, stop, out, to)
                out[to] = MORE
                to += 1
                parted = to if name == _DIV and nested == 0 else -1
        at = end
    return to, edited
