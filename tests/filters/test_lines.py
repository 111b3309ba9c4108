from __future__ import annotations

import gzip
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.filters.contract import NASTY
from phloem.filters.lines import (
    MARKS,
    cut_references,
    drop_lines,
    function_words,
    join_lines,
    strip_substrings,
)
from phloem.filters.op import Op, OpError

ENDS = ("\n", "\r\n", "\r", "\u2028", "\u2029", "\x85", "\v", "\f")
UDHR = Path(__file__).parents[2] / "sources" / "bundled" / "udhr.jsonl.gz"

# Strings that often hold what the rewrites look for.
HARD = st.text(
    st.one_of(
        st.sampled_from("\n\r\u2028\u2029\x85\v\f \t{}"),
        st.sampled_from("ไทย中文。，हि\u0301é한"),
        st.sampled_from("-\u00adab"),
        st.characters(codec="utf-8"),
    ),
    max_size=60,
)

REFERENCES = {
    "en": """\
Shannon, C. E. (1948). A mathematical theory of communication. Bell System Technical Journal, 27.
Turing, A. M. (1950). Computing machinery and intelligence. Mind, 59, 433-460.
Codd, E. F. (1970). A relational model of data for large shared data banks. CACM 13(6), 377-387.
Broder, A. Z. (1997). On the resemblance and containment of documents. SEQUENCES, 21-29.""",
    "es": """\
Ortega y Gasset, J. (1930). La rebelión de las masas. Madrid: Revista de Occidente.
Borges, J. L. (1944). Ficciones. Buenos Aires: Sur.
Paz, O. (1950). El laberinto de la soledad. México: Cuadernos Americanos.""",
    "fr": """\
Durkheim, É. (1895). Les règles de la méthode sociologique. Paris : Alcan.
Foucault, M. (1966). Les mots et les choses. Paris : Gallimard.
Bourdieu, P. (1979). La distinction. Critique sociale du jugement. Paris : Éditions de Minuit.
Mauss, M. (1925). Essai sur le don. L'Année sociologique, 1, p. 30-186.""",
    "pt": """\
Freyre, G. (1933). Casa-grande & senzala. Rio de Janeiro: Maia & Schmidt.
Furtado, C. (1959). Formação econômica do Brasil. Rio de Janeiro: Fundo de Cultura.
Fernandes, F. (1965). A integração do negro na sociedade de classes. São Paulo: Dominus.""",
}


@cache
def _declaration(language: str) -> str:
    """The Universal Declaration of Human Rights: its lines of eight words or more."""
    with gzip.open(UDHR, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line) for line in lines]
    (text,) = [each["text"] for each in texts if each["language"] == language]
    return "\n".join(line for line in text.split("\n") if len(line.split()) > 7)


def _one(op: Op, text: str, declared: str | None = None, /, **params: Any) -> str:
    columns = {"text": pa.array([text]), "declared_language": pa.array([declared], pa.string())}
    return str(op.bind(params)(pa.record_batch(columns)).arrays[0][0].as_py())


@pytest.mark.parametrize("end", ENDS)
def test_drop_lines_takes_the_line_end_along_and_leaves_the_others(end: str) -> None:
    assert _one(drop_lines, f"一{end}if (x) {{{end}ไทย{end}") == f"一{end}ไทย{end}"
    assert _one(drop_lines, f"a{end}b{end}}}") == f"a{end}b{end}"


@pytest.mark.parametrize("mark", [mark for marks in MARKS.values() for mark in marks])
def test_drop_lines_knows_every_mark_of_its_sets(mark: str) -> None:
    name = next(name for name, marks in MARKS.items() if mark in marks)
    assert _one(drop_lines, f"Iruzkina\nhau {mark} da\nAmaiera", marks=name) == "Iruzkina\nAmaiera"


def test_drop_lines_takes_own_marks_literally_and_no_others() -> None:
    text = "ಕನ್ನಡ\nÀ À¦\n{x}\na.b\naxb"
    assert _one(drop_lines, text, marks=["À À", "a.b"]) == "ಕನ್ನಡ\n{x}\naxb"


def test_drop_lines_of_nothing_but_marks_gives_an_empty_text() -> None:
    assert _one(drop_lines, "{\n}\n") == ""


def test_drop_lines_passes_texts_without_a_mark_on_without_copying() -> None:
    batch = pa.record_batch({"text": pa.array(["ไทย\n", "中文", None])})
    assert drop_lines(batch).arrays[0].buffers()[2].address == batch["text"].buffers()[2].address


@settings(deadline=None, max_examples=200, derandomize=True)
@given(text=HARD)
def test_drop_lines_leaves_no_marked_line_and_changes_no_other(text: str) -> None:
    done = _one(drop_lines, text)
    lines = re.findall("[^\n\r\u2028\u2029\x85\v\f]*(?:\r\n|[\n\r\u2028\u2029\x85\v\f])?", text)
    assert done == "".join(line for line in lines if not set("{}") & set(line))
    assert _one(drop_lines, done) == done


@pytest.mark.parametrize(
    ("op", "params", "message"),
    [
        (drop_lines, {"marks": "htm"}, "did you mean html"),
        (drop_lines, {"marks": []}, "list of strings"),
        (drop_lines, {"marks": ["a", ""]}, "none of them empty"),
        (drop_lines, {"marks": [1]}, "list of strings"),
        (strip_substrings, {"substrings": "abc"}, "list of strings"),
        (strip_substrings, {"substrings": [""]}, "none of them empty"),
        (cut_references, {"language": "th"}, r"'th'; there are \['en', 'es', 'fr', 'pt'\]"),
    ],
)
def test_wrong_parameters_are_told(op: Op, params: dict[str, Any], message: str) -> None:
    with pytest.raises(OpError, match=message):
        _one(op, "text", **params)


def test_strip_substrings_takes_strings_out_in_their_order() -> None:
    text = "This entry needs audio files. ภาษา (a+b) (a+b)"
    assert _one(strip_substrings, text, substrings=["This entry needs audio files", "(a+b)"]) == (
        ". ภาษา  "
    )
    assert _one(strip_substrings, "aabb", substrings=["ab", "b"]) == "a"


@settings(deadline=None, max_examples=200, derandomize=True)
@given(text=HARD, found=st.lists(st.text(st.sampled_from("{}\n中ไ"), min_size=1), min_size=1))
def test_strip_substrings_equals_its_reference(text: str, found: list[str]) -> None:
    batch = pa.record_batch({"text": pa.array([text, None, ""])})
    op = strip_substrings.bind({"substrings": found})
    assert op.reference is not None
    assert op(batch).arrays[0].equals(op.reference(batch, substrings=found)[0])  # type: ignore[index]


@pytest.mark.parametrize("end", ENDS)
def test_join_lines_makes_one_line_of_each_paragraph(end: str) -> None:
    text = f"  Der Text  {end}  geht weiter{end}{end} \t{end}Ende{end}"
    kept = f"  Der Text geht weiter{end}{end} \t{end}Ende{end}"
    assert _one(join_lines, text) == kept
    assert _one(join_lines, text, paragraphs=False) == "  Der Text geht weiter Ende"


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("人人生而自由，\n在尊严上一律平等。\n他们", "人人生而自由，在尊严上一律平等。他们"),
        ("มนุษย์ทั้งหลาย\nเกิดมามีอิสระ", "มนุษย์ทั้งหลายเกิดมามีอิสระ"),
        ("한국어는\n띄어쓰기를", "한국어는 띄어쓰기를"),
        ("用 Python\n写", "用 Python 写"),
        ("सभी मनुष्यों को\nगौरव", "सभी मनुष्यों को गौरव"),
        ("one line  ", "one line  "),
        ("  ", "  "),
        ("", ""),
        ("\n\n", "\n\n"),
    ],
)
def test_join_lines_puts_spaces_where_the_script_does(text: str, joined: str) -> None:
    assert _one(join_lines, text) == joined


@settings(deadline=None, max_examples=200, derandomize=True)
@given(text=HARD, paragraphs=st.booleans())
def test_join_lines_changes_white_space_alone(text: str, paragraphs: bool) -> None:
    batch = pa.record_batch({"text": pa.array([text])})
    op = join_lines.bind({"paragraphs": paragraphs})
    assert op.reference is not None
    done = op(batch).arrays[0]
    assert done.equals(op.reference(batch, paragraphs=paragraphs)[0])  # type: ignore[index]
    (joined,) = done.to_pylist()
    hyphens = str.maketrans("", "", "-\u2010\u058a\u00ad")
    assert "".join(joined.translate(hyphens).split()) == "".join(text.translate(hyphens).split())
    assert _one(join_lines, joined, paragraphs=paragraphs) == joined


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("Was für ein Donau\u00ad\ndampfer", "Was für ein Donaudampfer"),
        ("Die Schiff-\nfahrt, nun Schifffahrt", "Die Schifffahrt, nun Schifffahrt"),
        ("La liber-\nté, la liberté.", "La liberté, la liberté."),
        ("(“Infor-\nmation”) and information", "(“Information”) and information"),
        ("a well-\nknown one, a well-known one", "a well-known one, a well-known one"),
        ("the Anglo-\nSaxon 1990-\n1995, COVID-\n19", "the Anglo-Saxon 1990-1995, COVID-19"),
        ("Haus-\nund Hofarbeit, pre-\nand postwar", "Haus- und Hofarbeit, pre- and postwar"),
        ("it was -\nas I said - a dash --\nor two", "it was - as I said - a dash -- or two"),
        ("при-\nвет, привет; ново-\nсть", "привет, привет; новость"),
        ("λό-\nγος; λόγος", "λόγος; λόγος"),
        ("a self-\nmade e-\nmail", "a self-made e-mail"),
        ("-\nx\n-\ny", "- x - y"),
        ("so—\nand — \nor and/\nor, 1990–\n95", "so—and — or and/or, 1990–95"),
        ("אי־\nאפשר", "אי־אפשר"),
        ("բա֊\nռեր, բառեր", "բառեր, բառեր"),
    ],
)
def test_join_lines_takes_out_the_hyphens_that_were_put_at_line_ends(
    text: str, joined: str
) -> None:
    assert _one(join_lines, text) == joined


def _hyphenated(words: list[str], chars: int, *, cuts: bool) -> str:
    """Words in lines, one that does not fit cut in its middle, or at its own hyphens alone."""
    lines = [""]
    for word in words:
        room = chars - len(lines[-1])
        if len(word) < room:
            lines[-1] += f"{word} "
            continue
        own, place = word.find("-") + 1, min(len(word) - 3, room - 2)
        if 0 < own < room:
            head, tail = word[:own], word[own:]
        elif cuts and place > 2 and word.isalpha() and word.islower():
            head, tail = f"{word[:place]}-", word[place:]
        else:
            head, tail = "", word
        lines[-1] = f"{lines[-1]}{head}".rstrip()
        lines.append(f"{tail} ")
    return "\n".join(lines)


@pytest.mark.parametrize(("cuts", "right"), [(True, 0.97), (False, 0.99)])
@pytest.mark.parametrize("language", ["en", "fr", "de", "ru"])
def test_join_lines_gives_back_what_was_wrapped(language: str, cuts: bool, right: float) -> None:
    words = _declaration(language).replace("\n", " ").split()
    wrapped = _hyphenated(words, 60, cuts=cuts)
    got = _one(join_lines, wrapped).split()
    assert wrapped.count("-\n") > (20 if cuts else -1)
    assert len(got) == len(words)
    wrong = sum(one != other for one, other in zip(got, words, strict=True))
    assert wrong <= (1 - right) * max(wrapped.count("-\n"), 1)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\u2028"])
@pytest.mark.parametrize("language", sorted(REFERENCES))
def test_cut_references_cuts_a_list_of_works_and_no_prose(language: str, end: str) -> None:
    tag = {"pt": "pt-BR"}.get(language, language)
    prose = _declaration(tag).split("\n")[:20]
    works = ["", "Bibliographia", "", *REFERENCES[language].split("\n"), ""]
    text = end.join(prose + works)
    assert _one(cut_references, text, tag) == end.join([*prose, ""])
    assert _one(cut_references, text, language=language) == end.join([*prose, ""])


@pytest.mark.parametrize(
    ("tag", "most"), [("en", 0), ("es", 0.03), ("fr", 0), ("pt-BR", 0.03), ("pt-PT", 0)]
)
def test_few_lines_of_prose_look_like_references(tag: str, most: float) -> None:
    lines = _declaration(tag).split("\n")
    taken = [line for line in lines if _one(cut_references, f"{lines[0]}\n{line}", tag)[-1] == "\n"]
    assert len(taken) <= most * len(lines)


def test_cut_references_judges_the_language_of_the_document_first() -> None:
    text = f"{_declaration('fr')}\n\n{REFERENCES['fr']}"
    assert _one(cut_references, text, "fr", language="en") == _one(cut_references, text, "fr")
    assert _one(cut_references, text, "fr") != text


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (REFERENCES["en"], "en"),  # no line of prose: the words do not fit, or it is a bibliography
        (f"{REFERENCES['en']}\n", "th"),
        (REFERENCES["en"], None),
        ("", "en"),
        ("\r\n", "en"),
    ],
)
def test_cut_references_leaves_what_it_cannot_judge(text: str, language: str | None) -> None:
    assert _one(cut_references, text, language) == text


def test_cut_references_counts_decomposed_words_too() -> None:
    prose = "Ce n'est pas à nous de le dire, où qu'il soit et quoi qu'il en soit."
    decomposed = prose.replace("à", "a\u0300").replace("ù", "u\u0300")
    assert _one(cut_references, f"{decomposed}\nParis 1900", "fr") == f"{decomposed}\n"


@settings(deadline=None, max_examples=100, derandomize=True)
@given(text=HARD, tag=st.sampled_from([*REFERENCES, "th", None]), ratio=st.floats(0, 1))
def test_cut_references_cuts_at_the_end_alone(text: str, tag: str | None, ratio: float) -> None:
    done = _one(cut_references, text, tag, ratio=ratio)
    assert text.startswith(done)
    assert bool(done) == bool(text)
    assert _one(cut_references, done, tag, ratio=ratio) == done


def test_function_words_are_many_and_bare() -> None:
    for tag, words in function_words().items():
        assert len(words) > 150, tag
        assert all(word == word.strip(".,;") for word in words)


@pytest.mark.parametrize(
    "op",
    [drop_lines.bind({"marks": ["a", "中", "ไทย"]}), join_lines.bind({"paragraphs": False})],
    ids=["drop_lines", "join_lines"],
)
def test_bound_op_gives_the_same_however_a_batch_is_split(op: Op) -> None:
    batch = pa.record_batch({"text": pa.array(list(NASTY))})
    parts = [op(batch.slice(row, 3)).arrays[0] for row in range(0, batch.num_rows, 3)]
    assert pa.concat_arrays(parts).equals(op(batch).arrays[0])
