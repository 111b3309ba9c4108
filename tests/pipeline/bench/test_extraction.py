"""How faithful extraction is: what sources say, and how texts are held to it."""

import pytest

from phloem.catalog.errors import UseError
from phloem.pipeline.bench.extraction import (
    faithful,
    load_generators,
    word_f1,
)
from phloem.pipeline.bench.markups import MARKUPS
from phloem.pipeline.bench.truth import Truth, joined

SOURCES = {
    "reStructuredText": (
        "Title\n=====\n\nSee :ref:`the list <lists>`::\n\n    if x:\n\n        y(2)\n\nEnd.\n",
        "if x:\n\n    y(2)",
        "Title See the list if x y 2 End",
    ),
    "AsciiDoc": (
        "= Title\n\nSee <<x,the list>>.\n\n----\n$ git log -1\n----\n\n// unsaid\nEnd.\n",
        "$ git log -1",
        "Title See the list git log 1 End",
    ),
    "Markdown": (
        "# Title\n\nSee [the list](x).\n\n- a\n\n  ```sh\n  ls -l\n    x\n  ```\n\nA &amp; b.\n",
        "ls -l\n  x",
        "Title See the list a ls l x A b",
    ),
    "Doxygen": (
        '/*!\n@page one Title\n\nSee @ref x "the list".\n\n@code{.c}\na();\n  b;\n@endcode\n*/\n',
        "a();\n  b;",
        "Title See the list a b",
    ),
    "XML": (
        "<para>See <link>the list</link>.</para><screen>a &lt; b\n  c</screen><!-- no -->",
        "a < b\n  c",
        "See the list a b c",
    ),
    "Texinfo": (
        "@node A\n@chapter C\n@code{x @var{y}} @c unsaid\n@example\n@{a@}\n  b\n@end example\n",
        "{a}\n  b",
        "1 C x y a b",
    ),
    "Halibut": (
        "\\C{one} Title\n\nSee \\c{x}, \\q{y}.\n\n\\c a \\{\n\\c   b\n\nEnd.\n",
        "a {\n  b",
        "Chapter 1 Title See x y a b End",
    ),
}


@pytest.mark.parametrize("markup", SOURCES)
def test_a_source_tells_its_code_as_it_is_and_its_words_without_markup(markup: str) -> None:
    source, code, words = SOURCES[markup]
    truth = MARKUPS[markup](source)
    assert truth is not None
    assert truth.code == (code,)
    assert word_f1(truth.text, words) == 1


def test_a_manual_page_tells_its_words() -> None:
    truth = MARKUPS["man"]('.\\" unsaid\n.TH ls 1 "x"\n.SH NAME\n\\fBls\\fR \\- list\n.PP\n')
    assert truth is not None
    assert word_f1(truth.text, "ls NAME ls list") == 1


@pytest.mark.parametrize(
    ("markup", "source"),
    [
        ("man", ".so man3/b.3\n"),
        ("Markdown", "a\n{{#include b.md}}\n"),
        ("AsciiDoc", "a\ninclude::b.txt[]\n"),
        ("reStructuredText", ".. automodule:: b\n"),
    ],
)
def test_a_source_that_takes_in_others_is_no_truth(markup: str, source: str) -> None:
    assert MARKUPS[markup](source) is None
    assert joined([Truth((), "a"), MARKUPS[markup](source)]) is None


def test_texts_are_held_to_blocks_digits_and_words() -> None:
    truths = [Truth(("a\n  b",), "a b 12 12 7"), Truth(("c", "d"), "c d")]
    assert faithful(truths, ["x a\n  b 12", "c e"]) == {
        "blocks": 3,
        "code kept": 2,
        "digits": 0.333,
        "F1 mean": round((2 * 3 / 9 + 2 * 1 / 4) / 2, 3),
        "F1 least": 0.5,
    }
    assert faithful([Truth((), "a")], ["a"])["digits"] is None


def test_every_generator_has_a_markup_and_parameters_that_its_connectors_take() -> None:
    from phloem.sources.connector import find_connector

    for made in load_generators([]):
        assert made.markup in MARKUPS
        for asked in (made.pages, made.sources):
            ((name, given),) = asked.items()
            find_connector(name).Params.model_validate(given)
    with pytest.raises(UseError, match="Sphinx"):
        load_generators(["Sphynx"])
