"""Extractors: from the bytes that a source holds to the text that the run works with."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog.columns import CONTENT, MEDIA_TYPE, TEXT
from phloem.filters.charset import BOMS, PARAMETER, decode, decode_page
from phloem.filters.op import Measured, op
from phloem.filters.page import main_text, page_text
from phloem.filters.page_elements import SIGNS
from phloem.filters.xhtml import XHTML, as_html, with_plain_math

PLAIN_TYPES = (
    "text/plain text/markdown text/x-rst text/csv text/css text/javascript text/x-c text/x-c++"
    " text/x-csharp text/x-fortran text/x-go text/x-haskell text/x-java text/x-julia text/x-kotlin"
    " text/x-lua text/x-perl text/x-php text/x-python text/x-r text/x-ruby text/x-rust text/x-scala"
    " text/x-script.python text/x-sh text/x-shellscript text/x-sql text/x-swift text/x-tex"
    " text/x-toml text/x-typescript text/x-yaml"
).split()
HTML_TYPES = ("text/html", XHTML)


def each_row(batch: pa.RecordBatch, convert: Callable[[bytes, str | None], str]) -> Measured:
    """The text of each row, and a fault for each that cannot be converted."""
    texts: list[str | None] = []
    faults: dict[int, str] = {}
    rows = zip(batch[CONTENT.name], batch[MEDIA_TYPE.name].to_pylist(), strict=True)
    for row, (content, media_type) in enumerate(rows):
        text = None
        if content.is_valid:
            try:
                text = convert(content.as_py(), media_type)
            except ValueError as error:
                faults[row] = str(error)
        else:
            faults[row] = "no content"
        texts.append(text)
    return Measured([pa.array(texts, TEXT.type)], faults)


def _is_plain_utf8(batch: pa.RecordBatch) -> bool:
    """Whether no row names a charset, is null or begins with a byte order mark."""
    content = batch[CONTENT.name]
    kinds = batch[MEDIA_TYPE.name].unique().to_pylist()
    if content.null_count or any(PARAMETER.search(kind or "") for kind in kinds):
        return False
    return not any(pc.any(pc.starts_with(content, mark)).as_py() for mark, _ in BOMS)


@op(
    reads=[CONTENT, MEDIA_TYPE],
    writes=[TEXT],
    version=2,
    media_types=PLAIN_TYPES,
    examples=[
        ((b"na\xc3\xafve", "text/plain"), "naïve"),
        ((b"\xef\xbb\xbfcaf\xc3\xa9", "text/markdown"), "café"),
        ((b"caf\xe9", "text/plain; charset=iso-8859-1"), "café"),
        ((b"caf\xe9", "text/plain"), None),
    ],
)
def plain_text(batch: pa.RecordBatch) -> Measured:
    """Decode plain text, markup that is meant to be read, and code.

    A byte order mark decides, else the media type's charset (RFC 9110, section 8.3.2), else it is
    UTF-8 (RFC 3629); a label means what the WHATWG Encoding Standard says. A row that does not
    decode is a fault that names the first bad byte; nothing is guessed or replaced.
    """
    if _is_plain_utf8(batch):
        try:
            return Measured([batch[CONTENT.name].cast(pa.string())], {})  # checks, does not copy
        except pa.ArrowInvalid:
            pass  # some row is not UTF-8: find out which
    return each_row(batch, decode)


@op(
    reads=[CONTENT, MEDIA_TYPE],
    writes=[TEXT],
    version=6,
    media_types=HTML_TYPES,
    libraries=["resiliparse"],
    data=[SIGNS],
    examples=[
        (
            (b"<nav>Home</nav><h1>Salut</h1><p>One.</p><pre>a\n  b</pre>", "text/html"),
            "Salut\n\nOne.\n\na\n  b",
        ),
        ((b"<meta charset=iso-8859-1><p>caf\xe9", "text/html"), "café"),
        (("<p>नमस्ते</p><script>x()</script>".encode(), "text/html; charset=utf-8"), "नमस्ते"),
    ],
)
def html(batch: pa.RecordBatch, *, main_content: bool = False) -> Measured:
    """Extract the text that a reader of an HTML page sees, from the tree that Resiliparse parses.

    Paragraphs, lists, rows of tables and code keep their lines, lists their numbers (`page_text`);
    scripts, pictures, navigation and what a browser hides are left out.

    The encoding is that of the byte order mark, else of the media type, else of the `meta` tag or
    XML declaration in the first 1,024 bytes (WHATWG HTML, 13.2.3), else UTF-8 if the bytes read so,
    else it is detected; bytes that do not decode become U+FFFD, as in browsers. A label means what
    the WHATWG Encoding Standard says; a page of which only an unknown label is known is a fault.
    What is served as XHTML is read as XML closes its elements.

    Args:
        batch: Rows of content.
        main_content: Give what Resiliparse (Bevendorff et al., ECIR 2018) takes for the main
            content, as it writes it. Its heuristics suit web pages; on documentation they lose
            boxes and notes (28 % of the Debian handbook's text).
    """
    from resiliparse.parse.html import HTMLTree

    def convert(content: bytes, media_type: str | None) -> str:
        page = decode_page(content, media_type)
        if media_type and media_type.startswith(XHTML):
            page = as_html(page)
        page = with_plain_math(page)
        try:
            tree = HTMLTree.parse(page)
            text = main_text(tree) if main_content else page_text(tree)
        except Exception as error:  # noqa: BLE001 - whatever the parser raises faults the row only
            msg = f"cannot be parsed as HTML: {type(error).__name__}"
            raise ValueError(msg) from None
        return str(text)

    return each_row(batch, convert)
