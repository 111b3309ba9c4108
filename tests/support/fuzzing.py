"""Files and pages changed at random, read in a child of `phloem.pipeline.guard`."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow as pa
from file_kinds import KINDS, read

from phloem.catalog.columns import CONTENT, MEDIA_TYPE
from phloem.pipeline.extraction import extractors
from phloem.pipeline.guard import Told

WORDS = (
    b"<", b">", b"</p>", b"<table>", b"<pre>", b"<!--", b"-->", b"&#", b"&amp;", b"{{", b"}}",
    b"[[", b"]]", b"{|", b"|}", b"<ref>", b"'''", b"<math>", b"<sup>", b"\0", b"\xff", b"\xe2\x80",
    b"\r\n",
    b'"', b"\\", b"[", b"]", b"{", b"}", b",", b"\n\n", b"<![CDATA[", b"]]>", b"<!DOCTYPE a [",
    b"PK\1\2", b"PK\5\6", b"\x1f\x8b\x08", b"WARC/1.0\r\n", b"Content-Length: 99999999999\r\n",
    b"\x28\xb5\x2f\xfd", b"ARROW1", b"PAR1", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0" * 512,
)  # fmt: skip
"""What readers look for."""

PAGES = {
    "text/html": (
        "<!DOCTYPE html><html lang=uk><head><meta charset=utf-8><title>Назва</title></head><body>"
        "<nav><a href=/>Головна</a></nav><h1>Вступ</h1><p>Усі люди <b>народжуються</b> вільними,"
        " 2<sup>29</sup> раз.</p><ol start=3><li>перший<li value=7>сьомий</ol><table><tr><th"
        " colspan=2>а</th></tr><tr><td>б<td><p>в</table><pre><code>def f():\n    return 1</code>"
        "</pre><math><mfrac><mn>1</mn><mn>2</mn></mfrac></math><figure><img alt=x><figcaption>Мал."
        "</figcaption></figure><div hidden>ні</div><script>var a = '<p>';</script></body></html>"
    ),
    "application/xhtml+xml": (
        '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/><script/>'
        "</head><body><p>שלום <![CDATA[a < b]]> &#x5d0;</p></body></html>"
    ),
    "text/x-wiki": (
        "'''Мова''' — {{lang|uk|слово}} {{convert|5|km|mi}}<ref>[http://a б]</ref>.\n\n"
        "== Розділ ==\n* [[А|б]]\n# -{zh-hans:简;zh-hant:繁}-\n{| class=x\n! а\n"
        "|-\n| б || {{val|1.5|e=3}}\n|}\n"
        "<math>x^2</math> <nowiki>{{a}}</nowiki> {{quote|слова|хто}}\n[[File:a.png|thumb|опис]]"
    ),
    "application/jats+xml": (
        "<article><front><article-meta><title-group><article-title>タイトル</article-title>"
        "</title-group></article-meta></front><body><sec><title>序</title><p>x<sup>2</sup> <xref>1"
        "</xref> <inline-formula><tex-math>a^2</tex-math></inline-formula></p><list"
        " list-type='order'><list-item><p>一</p></list-item></list><table-wrap><table><tr>"
        "<td>a</td></tr></table></table-wrap></sec></body></article>"
    ),
    "application/mallard+xml": (
        '<page xmlns="http://projectmallard.org/1.0/"><info><desc>ஒன்று</desc></info><title>விசை</title>'
        "<steps><item><p><key>A</key> அழுத்து.</p></item></steps><screen>a\n  b</screen></page>"
    ),
    "application/x-mediawiki-messages+json": (
        '{"@metadata": {"authors": ["N"]}, "a": "Jani la ŵanthu", "b": "{{int:x}}", "c": "x\\n$1"}'
    ),
    "text/plain": "मानव अधिकार 🌍\r\nالناس أحرار\tطبيعة\n",
}  # fmt: skip


def changed(content: bytes, chance: random.Random) -> bytes:
    """One to eight changes of some bytes: other ones, gone, doubled, moved, words put in."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + int(2 ** chance.uniform(0, 10)))
        what = chance.randrange(6)
        if what == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            del data[at:end]
        elif what == 2:
            data[at:at] = data[at:end] * chance.choice([1, 2, 100])
        elif what == 3:
            data[at:at] = chance.choice(WORDS) * chance.choice([1, 1, 3, 1000])
        elif what == 4:
            data[at : at + 4] = chance.choice(WORDS)
        else:
            data[at:end] = chance.randbytes(end - at)
    return bytes(data[: 2**22])


def read_changed(name: str, first: int, seconds: float, folder: str) -> Iterator[Told]:
    """Read changed files of a kind, one for each number from the first on; tells of each."""
    kind = next(kind for kind in KINDS if kind.name == name)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        yield {"begun at": first}, None
        before = time.process_time()
        texts, faults = read(kind, changed(kind.content, random.Random(first)), Path(folder))  # noqa: S311
        yield _done(first, before, len(texts) + len(faults)), None
        first += 1


def extract_changed(media_type: str, first: int, seconds: float) -> Iterator[Told]:
    """Extract changed pages of a media type, likewise."""
    op = extractors()[media_type]
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        yield {"begun at": first}, None
        before = time.process_time()
        content = changed(PAGES[media_type].encode() * 3, random.Random(first))  # noqa: S311
        batch = pa.RecordBatch.from_pydict(
            {CONTENT.name: pa.array([content], pa.binary()), MEDIA_TYPE.name: [media_type]}
        )
        measured = op(batch)
        assert measured.faults or measured.arrays[0][0].is_valid
        yield _done(first, before, len(measured.arrays[0])), None
        first += 1


def _done(number: int, before: float, gave: int) -> dict[str, float]:
    info = psutil.Process().memory_info()
    return {
        "done": number,
        "seconds": time.process_time() - before,
        "bytes": info.rss - info.shared,
        "gave": gave,
    }
