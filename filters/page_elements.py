"""Elements of pages: what becomes of each, and what their classes, ids and roles say of them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from phloem.filters.kernels.hashing import word_hash
from phloem.filters.kernels.trimming import (
    BLOCK,
    CODE,
    CODED,
    CONTENTS,
    EDITED,
    EDITING,
    HIDDEN,
    KEPT,
    LASTING,
    LEADING,
    PASSED,
    RAW,
    SHOWN,
    TOLD,
    TOPIC,
    trim,
)

SIGNS = "page_signs.yaml"
"""The data file of what classes, ids and roles say."""

PARAGRAPHS = "p blockquote dl fieldset figure hr table"
"""Elements that a blank line parts from what stands before and after them."""

BLOCKS = (
    "address article aside body caption center dd details dialog div dt figcaption form frameset"
    " header hgroup html legend main search section summary tbody tfoot thead"
)
"""Elements that stand on lines of their own."""

SECTIONS = "article blockquote figure"
"""Elements whose footers are theirs."""

HEADINGS = "h1 h2 h3 h4 h5 h6"
LISTS = "ul ol menu dir"
PASSED_OVER = (
    "head title template noscript svg object video audio canvas select datalist progress meter rp"
)
"""What a reader sees or hears and does not read: an alternative text stands for it, and what such
an element holds is for who cannot be shown it (WHATWG HTML, 4.8); and choices, of which a page
shows one."""

_OTHERS = "footer pre listing textarea nav li tr td th br"  # blocks, each read in its own way
_WITHIN = "label q rt sup sub del s strike button"  # what stands within a line
_RAW = "script style iframe noembed noframes"
# Elements without end, and those that scripts show later.
_LASTING = (
    "area base basefont bgsound body br col embed frame hr html img input keygen link meta param"
    " source track wbr"
)
_MARKS = {"classes": ".", "ids": "#", "roles": "@"}
WAYS = "next prev previous up"
"""Types of links that lead through a book (WHATWG HTML, 4.6.7, and HTML 4)."""


def trimmed(tree: Any) -> tuple[str, bool]:
    """A page's serialisation with the tags that `page_text` reads, and whether to edit it first."""
    html = np.frombuffer(tree.document.html.encode(), np.uint8)
    out = np.empty(2 * len(html), np.uint8)
    tags, kinds, words, says, owners = tables()
    size, edited = trim(html, tags, kinds, words, says, owners, out)
    return out[:size].tobytes().decode(), edited


@functools.cache
def tables() -> tuple[npt.NDArray[Any], ...]:
    """What `trim` is told of elements, and of what classes, ids, roles and links say."""
    kinds: dict[str, int] = {}
    for kind, names in (
        (BLOCK, f"{PARAGRAPHS} {BLOCKS} {HEADINGS} {LISTS} {_OTHERS}"),
        (KEPT, _WITHIN),
        (TOLD, f"{LISTS} li button dialog"),
        (CODE, "pre listing textarea"),
        (PASSED, f"{PASSED_OVER} nav"),
        (RAW, _RAW),
        (LASTING, _LASTING),
        (EDITED, "math xmp plaintext"),
    ):
        for name in names.split():
            kinds[name] = kinds.get(name, 0) | kind
    says = {word: (HIDDEN, owner) for word, owner in _hidden()}
    says |= {f"&{name}": (LEADING, "a") for name in WAYS.split()}
    says |= {".contents": (CONTENTS, ""), ".topic": (TOPIC, "")}
    says |= {"@tabpanel": (SHOWN, ""), ".MathJax": (EDITING, ""), ".fragment": (CODED, "div")}
    says |= {".js-file-line-container": (CODED, "table")}
    says |= {f".{name}": (EDITING, "span") for name in ("superscript", "subscript")}
    says |= {f".{name}": (EDITING, "img") for name in "tex latex formulaInl formulaDsp".split()}
    says |= {".math": (EDITING, "")}
    tags = sorted((word_hash(tag), kind) for tag, kind in kinds.items())
    words = sorted(
        (word_hash(word), said, word_hash(owner) if owner else 0)
        for word, (said, owner) in says.items()
    )
    return (
        np.array([key for key, _ in tags], np.uint64),
        np.array([kind for _, kind in tags], np.uint8),
        np.array([key for key, _, _ in words], np.uint64),
        np.array([said for _, said, _ in words], np.uint8),
        np.array([owner for _, _, owner in words], np.uint64),
    )


def _hidden() -> Iterator[tuple[str, str]]:
    """The words after their sign that say of an element that it is not read, and of which."""
    path = Path(__file__).with_name(SIGNS)
    for attributes in yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader).values():
        for attribute, names in attributes.items():
            for word in names.split():
                owner, _, name = word.rpartition(".")
                yield f"{_MARKS[attribute]}{name}", owner
