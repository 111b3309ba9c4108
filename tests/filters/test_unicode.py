from __future__ import annotations

import ast
import sysconfig
import unicodedata
import warnings
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.filters.op import Op
from phloem.filters.unicode import nfc, whitespace

# Strings that often hold what the rewrites look for, among what they pass over many bytes at once.
HARD = st.lists(
    st.one_of(
        st.sampled_from(" \t\n\r\u00a0\u2028\u0085\x00\ufeff\u200b\u200d-a"),
        st.sampled_from(["  ", ".  ", ".)  A", ",b", ";", "|", "0", "   "]),
        st.sampled_from("e\u0301\u0323\u0344\u1100\u1161\u11a8\u0928\u093c\u0958\u2126"),
        st.sampled_from(
            ["a block of thirty-two ASCII bytes ", "“quoted”", "без пробелов", "字" * 9]
        ),
        st.characters(codec="utf-8"),
    )
).map("".join)


# What tells code and tables, whole and nearly.
PARTS = [
    '"""',
    "''",
    "f('",
    '("',
    "= [",
    "@@ -1",
    "@@ -",
    "=",
    ',"a',
    ',"',
    "):\n ",
    "):\r\n\t",
    "):",
    "a\t",
    "\t",
    "\n",
]


def _batch(*texts: str | None) -> pa.RecordBatch:
    return pa.record_batch({"text": pa.array(list(texts), pa.string())})


def _one(op: Op, text: str) -> str:
    return str(op(_batch(text)).arrays[0][0].as_py())


@settings(deadline=None, max_examples=300, derandomize=True)
@given(text=HARD)
def test_nfc_equals_unicodedata(text: str) -> None:
    assert _one(nfc, text) == unicodedata.normalize("NFC", text)


def test_nfc_of_every_character_alone_and_after_a_letter_equals_unicodedata() -> None:
    chars = [chr(code) for code in range(0x30000) if not 0xD800 <= code < 0xE000]
    texts = ["".join(chars[start : start + 7]) for start in range(0, len(chars), 7)]
    texts += [f"\u0915{char}" for char in chars if unicodedata.category(char)[0] == "M"]
    got = nfc(_batch(*texts)).arrays[0].to_pylist()
    assert got == [unicodedata.normalize("NFC", text) for text in texts]


def test_nfc_passes_settled_text_on_without_copying() -> None:
    batch = _batch("plain ascii", "naïve", "हिन्दी", None)
    assert nfc(batch).arrays[0].buffers()[2].address == batch["text"].buffers()[2].address


@settings(deadline=None, max_examples=300, derandomize=True)
@given(text=HARD)
def test_whitespace_equals_its_reference_and_is_settled(text: str) -> None:
    batch = _batch(text)
    assert whitespace.reference is not None
    done = whitespace(batch).arrays[0]
    assert done.equals(whitespace.reference(batch)[0])  # type: ignore[union-attr, index]
    assert whitespace(pa.record_batch({"text": done})).arrays[0].equals(done)


def test_whitespace_passes_clean_text_on_without_copying() -> None:
    batch = _batch("one line\nanother", "“हिन्दी” – ไทย", None, "\tindented")
    assert whitespace(batch).arrays[0].buffers()[2].address == batch["text"].buffers()[2].address


@pytest.mark.parametrize("text", ["a\rb", "a\x0bb", "a\x0cb"])
def test_whitespace_writes_a_changed_text_of_the_same_length_anew(text: str) -> None:
    assert _one(whitespace, text) == "a\nb"


@pytest.mark.parametrize(
    "text",
    [
        "می\u200cخواهم",  # zero-width non-joiner in Persian
        "क्\u200dष हिन्दी",  # joiner and virama in Hindi
        "ที่ นี่",  # marks of Thai
        "ភាសា\u200bខ្មែរ",  # zero-width space between Khmer words
        "👩\u200d👩\u200d👧 👍🏽",
        "\u202bעברית\u202c",
    ],
)
def test_whitespace_keeps_joiners_and_marks(text: str) -> None:
    assert _one(whitespace, text) == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a\r\n\r\n\r\nb\rc", "a\n\nb\nc"),
        ("\n\n  x  \n\n", "  x"),
        ("a \u3000 b", "a b"),
        ("a \u3000 b\t c", "a   b\t c"),
        ("a\n \t \n \nb", "a\n\nb"),
        ("if x:\n\t  y  =  1", "if x:\n\t  y  =  1"),
        (
            "He came.  She left.  It rained!  (Not much.)  So",
            "He came. She left. It rained! (Not much.) So",
        ),
        ("Er kam.  2 Uhr", "Er kam.  2 Uhr"),  # a number may be a column's
        ("a\x00\x1b\ufeffb", "ab"),
        (" \n\t ", ""),
    ],
)
def test_whitespace_makes_blanks_and_line_ends_uniform(text: str, clean: str) -> None:
    assert _one(whitespace, text) == clean


@settings(deadline=None, max_examples=300, derandomize=True)
@given(text=st.lists(st.one_of(st.sampled_from(PARTS), HARD), max_size=8).map("".join))
def test_whitespace_of_code_and_tables_equals_its_reference_and_is_settled(text: str) -> None:
    batch = _batch(text)
    assert whitespace.reference is not None
    done = whitespace(batch).arrays[0]
    assert done.equals(whitespace.reference(batch)[0])  # type: ignore[union-attr, index]
    assert whitespace(pa.record_batch({"text": done})).arrays[0].equals(done)


LAID_OUT = {
    "empty cells": "name\tage\tcity\nAma\t\tAccra\nKofi\t\t\n\t\t\nYaw\t3\tKumasi",
    "blanks in cells": "id\ttext\n1\tYes.  No.\u00a0  Well\n2\t",
    "CSV": 'id,text\n1,"12  Main St.  Accra"\n2,"x  y"',
    "bare CSV": "1,Yes.  No,a\n2,a  b,c",
    "CoNLL": "# text\n1\tThe\tthe\tDET\t_\n2\tcat\tcat\tNOUN\t_\n\n1\tIt\tit\tPRON\t_",
    "CoNLL in columns": "1  The    the  DET\n2  cats   cat  NOUN",
    "columns": "Oslo      Norway       709\nAccra     Ghana      2,513\nBo  Sierra Leone  174",
    "columns of abbreviations": "St.  Paul   12\nMt.  Airy    7",
    "columns of Japanese": "東京      13\n大阪  27",
    "Python": "GAP = re.compile('a  b')\nprint('x.  Y')",
    "Python's docstring": 'def f(x):\n    """Do.  Then   \n\n\n\n    stop.\u00a0Now."""',
    "Fortran": "      PROGRAM P\n      DO 10 I=1,3\n10    CONTINUE\n      END",
    "Fortran without a sign": "C     COUNT.  THEN STOP\n10    CONTINUE",
    "COBOL": '       IDENTIFICATION DIVISION.\n       DISPLAY "A.  B".',
    "assembler": "LOOP    LDA  #1      ; LOAD.  THEN\n        RTS",
    "make": "all:\n\techo 'a  b'",
    "SQL": "SELECT  name,  'a  b'\nFROM    people;",
    "shell": 'NAME="a.  B"\necho "x  y"',
    "C": 'int  main(void) {\n  printf("a.  B");\n}',
    "YAML": "name:  a\nkind:    b",
    "Markdown's table": "| a    | b.   |\n|------|------|\n| x  y | z    |",
    "drawing": "  +--+  +--+\n  |a |--|b |\n  +--+  +--+",
}


@pytest.mark.parametrize("text", LAID_OUT.values(), ids=LAID_OUT.keys())
def test_whitespace_leaves_code_and_tables_alone(text: str) -> None:
    assert _one(whitespace, text) == text
    assert _one(whitespace, text.replace("\n", "\r\n") + "\r\n") == text


def test_whitespace_keeps_the_syntax_tree_of_python_files() -> None:
    folders = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"))
    paths = [path for folder in folders for path in sorted(Path(folder).rglob("*.py"))]
    changed, compared = [], 0
    for path in paths[:: max(1, len(paths) // 1500)]:
        try:
            source = path.read_bytes().decode()
            cleaned = _one(whitespace, source)
            if cleaned != source.strip("\n"):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    before = ast.dump(ast.parse(source))
                    compared += 1
                    changed += [path] if ast.dump(ast.parse(cleaned)) != before else []
        except (UnicodeDecodeError, SyntaxError):  # the library's own tests of such files
            continue
    assert not changed
    assert compared
