"""The kernel that trims pages, beside the same in plain Python."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from phloem.filters import page, page_elements
from phloem.filters.kernels import trimming
from phloem.filters.kernels.hashing import word_hash

# What a serialisation is made of: comments, doctypes and instructions; a tag's stroke, name and
# attributes; text.
_TOKEN = re.compile(
    rb'<(?:!--.*?(?<=--)|[!?][^>]*)>|<(/?)([^ >]+)((?: .[^=]*="[^"]*")*)>|([^<]+)', re.DOTALL
)
_ATTRIBUTE = re.compile(rb' (.[^=]*)="([^"]*)"', re.DOTALL)
_BLANKS = re.compile(rb"[ \t-\r]+")
_SIGNS = {b"class": b".", b"id": b"#", b"role": b"@", b"rel": b"&"}
_GAP = b"<dd>"


def _hash(word: bytes) -> int:
    return word_hash(word.decode("latin-1"))


@functools.cache
def _told() -> tuple[dict[int, int], dict[int, tuple[int, int]]]:
    """What the kernel is told of names of elements, and of words: what each says, of what."""
    tags, kinds, words, says, owners = (table.tolist() for table in page_elements.tables())
    of_words = zip(says, owners, strict=True)
    return dict(zip(tags, kinds, strict=True)), dict(zip(words, of_words, strict=True))


def _reference(html: bytes) -> tuple[bytes, bool]:  # noqa: C901, PLR0912, PLR0915 - one flat loop
    """What `trim` writes, and whether the page must be edited."""
    kinds, _ = _told()
    out, edited, blank = bytearray(), False, True
    parted = -1  # where the tag of a <div> ends that was written last
    passed, depth = b"", 0  # the element that is passed over
    code, nested = b"", 0  # the element whose text is code
    at = 0
    while token := _TOKEN.match(html, at):
        at = token.end()
        stroke, name, attributes, text = token.groups()
        if text:
            if depth:
                continue
            if not nested:
                text = _BLANKS.sub(b" ", text)
                text = text.lstrip(b" ") if blank else text
            if text:
                blank = not nested and text.endswith(b" ")
                out += text
        if not name:
            continue
        kind = kinds.get(_hash(name), 0)
        block = kind & trimming.BLOCK
        said = 0 if stroke else _said(name, attributes)
        edited |= bool((not stroke and kind & trimming.EDITED) or said & trimming.EDITING)
        edited |= bool(not depth and said & trimming.LEADING and not said & trimming.HIDDEN)
        if not stroke and kind & trimming.RAW:
            end = html.find(b"</%s>" % name, at)
            at = len(html) if end < 0 else end + len(name) + 3
        elif depth:
            depth += (-1 if stroke else 1) * (name == passed)
        elif nested and name == code and (stroke or not said & trimming.HIDDEN):
            nested += -1 if stroke else 1
            blank = blank or not nested
            out += _GAP if nested else b"</pre>"
        else:
            hidden = said & trimming.HIDDEN and not kind & trimming.LASTING
            taken = not stroke and (hidden or kind & trimming.PASSED)
            if block and not nested:
                if blank and out.endswith(b" "):
                    del out[-1]
                blank = True
            if taken:
                passed, depth = name, 1
                out += _GAP if block else b""
            elif kind & trimming.CODE and (nested or stroke):
                out += _GAP if nested else b""
            elif kind & trimming.CODE or (
                block and not nested and said & trimming.CODED and name not in (b"br", b"hr")
            ):
                code, nested = name, 1
                out += b"<pre>"
            elif kind & (trimming.KEPT | trimming.BLOCK | trimming.TOLD):
                spans = block and re.search(rb' (?:colspan|rowspan)="', attributes)
                told = attributes if kind & trimming.TOLD or stroke or spans else b""
                parts = name == b"div" and not nested and not spans
                if not parts or parted != len(out):
                    out += b"<%s%s%s>" % (stroke, name, told)
                    parted = len(out) if parts else -1
    assert at == len(html)
    return bytes(out), edited


def _said(name: bytes, attributes: bytes) -> int:  # noqa: C901 - a case for each
    """What an element's attributes say of it."""
    _, words = _told()
    found, hides = 0, False
    for key, value in _ATTRIBUTE.findall(attributes):
        if key in _SIGNS:
            for word in re.findall(rb"[^\0- ]+", value):
                said, owner = words.get(_hash(_SIGNS[key] + word), (0, 0))
                found |= said if owner in (0, _hash(name)) else 0
                if key == b"class" and name == b"a":
                    for dash in re.finditer(b"-", word):
                        found |= words.get(_hash(b"." + word[: dash.end()]), (0, 0))[0]
        elif key == b"style":
            if _holds(value, b"display:none") or _holds(value, b"visibility:hidden"):
                found |= trimming.HIDDEN
            wrapped = _holds(value, b"white-space:pre-wrap") and _holds(value, b"monospace")
            if wrapped or _holds(value + b";", b"white-space:pre;"):
                found |= trimming.CODED
        elif key == b"hidden":
            hides = value != b"until-found"
        elif key == b"popover" or (key == b"aria-hidden" and name == b"a" and value == b"true"):
            found |= trimming.HIDDEN
        elif key == b"reversed" or (key == b"type" and _holds(value, b"math/tex")):
            found |= trimming.EDITING
    if found & trimming.CONTENTS and found & trimming.TOPIC:
        found |= trimming.HIDDEN
    return found | (trimming.HIDDEN if hides and not found & trimming.SHOWN else 0)


def _holds(value: bytes, said: bytes) -> bool:
    return said in re.sub(rb"[\0- ]", b"", value).lower()


def _trim(html: bytes) -> tuple[bytes, bool]:
    """The kernel's answer; what it was not given stays as it is."""
    out = np.full(2 * len(html) + 64, 0xFF, np.uint8)
    size, edited = trimming.trim(np.frombuffer(html, np.uint8), *page_elements.tables(), out)
    assert size <= 2 * len(html)
    assert (out[2 * len(html) :] == 0xFF).all()
    return out[:size].tobytes(), edited


def _serialised(source: str) -> bytes:
    return HTMLTree.parse(source).document.html.encode()


_NAMES = (
    "p div span b a br hr pre listing textarea nav noscript table tr td th ul ol li dl dd q sup rt"
    " button dialog label footer article form svg math img script style iframe h2 x-y"
).split()
_VALUES = (
    "lineno sr-only breadcrumb MathJax fragment footer path navigation tabpanel true until-found 1"
    " open submit next contents topic nav-x white-space:pre-wrap;font:monospace"
    " math/tex display:none visibility:hidden white-space:pre; naïve >"
).split()
_ATTRIBUTES = (
    "class id role rel colspan popover style hidden aria-hidden type reversed start value open"
    ' x" title'
).split()
_TEXTS = [" ", "  ", "\n", "\t", *"aÄ漢𝛼", "&amp;", "&lt;p&gt;", "&nbsp;", "&#13;", "x y"]


_SPELT = [" : ".join(value.split(":")) for value in _VALUES] + [value.upper() for value in _VALUES]
_ATTRIBUTE_TEXTS = [" ", "  ", "\n", "\t", *"aÄ漢𝛼", "&amp;", "&lt;p&gt;", "&nbsp;", "&#13;", "x y"]
_STARTS = st.builds("<{}{}>".format, st.sampled_from(_NAMES), st.sampled_from(_ATTRIBUTE_TEXTS))
_REST = st.sampled_from(
    [
        *_TEXTS,
        *(f"</{name}>" for name in _NAMES),
        *("<!---->", "<!-- a > b -->", "<!-->", "<!doctype html>", "<?x?>", '<? a="b?>'),
        *("<script>a </b> c</script>", "<style>", "<p", '<a b="'),
    ]
)


@settings(derandomize=True, max_examples=200)
@given(pieces=st.lists(st.one_of(_STARTS, _REST), max_size=25))
def test_trims_as_its_reference_does(pieces: list[str]) -> None:
    tree = HTMLTree.parse("".join(pieces))
    html = tree.document.html.encode()
    assert _trim(html) == _reference(html)
    assert "\0" not in page.page_text(tree)  # nor does it fail


@settings(derandomize=True, max_examples=200)
@given(html=st.lists(st.sampled_from([*'<>/!-=" ;pé', "<p", "</p>", "<pre>", "<nav", "script"])))
def test_what_is_no_serialisation_is_trimmed_within_bounds(html: list[str]) -> None:
    _trim("".join(html).encode())


def test_real_pages_are_trimmed_as_the_reference_does() -> None:
    folder = Path(__file__).parents[2]
    paths = sorted(folder.glob("reports/templates/**/*.html"))
    assert len(paths) > 5
    paths += sorted(Path("/usr/share/doc").glob("*/html/*.html"))[:20]  # where there are any
    sources = [path.read_text(errors="replace") for path in paths if path.is_file()]
    for source in sources:
        html = _serialised(source)
        assert _trim(html) == _reference(html)


@pytest.mark.parametrize("tags", ["<ul>{}</ul>|<li></li>", "<button>{}</button>|<p></p>"])
def test_tags_in_code_take_no_more_room_than_they_had(tags: str) -> None:
    around, within = tags.split("|")
    outer = within[1 : within.index(">")]
    many = around.format(within * 10_000)
    html = _serialised(f'<{outer} style="white-space:pre;">{many}')
    assert _trim(html) == _reference(html)


def test_each_tag_that_is_written_is_read() -> None:
    tags, kinds, *_ = page_elements.tables()
    left = {
        tag
        for tag, kind in zip(tags.tolist(), kinds.tolist(), strict=True)
        if kind & (trimming.KEPT | trimming.BLOCK)
    }
    read = {word_hash(tag) for tag in page._ACTS if tag[0] != "/"}
    assert left - read == {word_hash(tag) for tag in ("listing", "textarea")}  # written as <pre>
    assert read <= left
