"""What is put into a page's tree before its text is read from its first tag to its last."""

from __future__ import annotations

import re
from typing import Any

from phloem.filters.page_elements import WAYS
from phloem.filters.page_formulas import spell_out

# What stands 256 elements deep. No page is written so, browsers read none deeper than 512, and to
# edit a tree takes time in proportion to its depth.
_TOO_DEEP = " > ".join("*" * 256)
_LINES = frozenset("p div td th li dd dt section header center".split())
_WAYS = ", ".join(f"a[rel~={way}]" for way in WAYS.split())
_STYLED = "span[style], font[style], span.superscript, span.subscript"
_RAISED_BY = re.compile(
    r"vertical-align\s*:\s*(super|sub)\b|(?<![\w-])(super|sub)script(?![\w-])", re.IGNORECASE
)
_WAY_CHARS = 12  # beside each link of a line: "Next: , Previous: , Up: [ ][ ]"
_WAYS_READ = 2**22  # characters; or a line of many links were read once for each


def edit(tree: Any) -> None:
    """Put into a tree what cannot be told while it is read from its first tag to its last.

    In one that is too deep formulas stay as they are, and text that is no markup is left out.
    """
    raws = tree.document.query_selector_all("xmp, plaintext").values()
    if tree.document.query_selector(_TOO_DEEP) is not None:
        for raw in raws:
            raw.decompose()
        return
    spell_out(tree)
    _raise_styled(tree)
    _hide_ways(tree)
    for raw in raws:
        pre = tree.create_element("pre")
        pre.text = raw.text
        raw.replace_with(pre)
    for backwards in tree.document.query_selector_all("ol[reversed]:not([start])").values():
        items = sum(child.tag == "li" for child in backwards.children.values())
        backwards.setattr("start", str(items))


def _raise_styled(tree: Any) -> None:
    """Write `<sup>` and `<sub>` for what stands raised or lowered by its style or class."""
    for styled in tree.document.query_selector_all(_STYLED).values():
        said = _RAISED_BY.search(f"{styled.getattr('style')} {styled.getattr('class')}")
        if said:
            is_above = (said[1] or said[2]).lower() == "super"
            raised = tree.create_element("sup" if is_above else "sub")
            while styled.first_child is not None:
                raised.append_child(styled.first_child)
            styled.append_child(raised)


def _hide_ways(tree: Any) -> None:
    """Hide the lines of links to the next page and the one before, which Texinfo does not name."""
    read = 0
    for link in tree.document.query_selector_all(_WAYS).values():
        line = link.parent
        while line is not None and line.tag not in _LINES:
            line = line.parent
        if line is None or read > _WAYS_READ:
            return
        links = [each.text for each in line.get_elements_by_tag_name("a").values()]
        text = line.text
        read += len(text)
        rest = len("".join(text.split())) - len("".join("".join(links).split()))
        if rest <= _WAY_CHARS * len(links):
            line.setattr("hidden", "")
