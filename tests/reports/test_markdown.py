"""Values of strangers in Markdown: code that ends where it should."""

import pytest

from phloem.reports.markdown import code, codes, fenced


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "`plain`"),
        ("", "nothing"),
        (" \n\t ", "nothing"),
        ("a `b` c", "``a `b` c``"),
        ("`x", "`` `x ``"),
        ("a ``` b", "````a ``` b````"),
        ("@team\n# heading\r\n- item", "`@team # heading - item`"),
        ("one\u2028two\u0085three", "`one two three`"),
        ("\u202eevil\u202c", "`[U+202E]evil[U+202C]`"),
        ("good\u200bpkg \u00ad\U000e0041\u3164", "`good[U+200B]pkg [U+00AD][U+E0041][U+3164]`"),
        ("می\u200cخواهم क्\u200dष", "`می\u200cخواهم क्\u200dष`"),
        ("good\u200cpkg ☺\ufe0f a\ufe0f", "`good[U+200C]pkg ☺\ufe0f a[U+FE0F]`"),
        ("<img src=x onerror=alert(1)>", "`<img src=x onerror=alert(1)>`"),
        (17, "`17`"),
    ],
)
def test_code_of_a_value_is_one_span_in_one_line(value, shown):
    assert code(value) == shown


def test_code_of_a_long_value_is_cut_and_closed():
    fence = "`" * 11
    cut = f"{fence} {'`' * 10} {fence} … and 491 more characters"
    assert code("`" * 500 + "x", characters=10) == cut


def test_codes_beyond_the_most_are_counted():
    assert codes(["a", "b", "c"], most=2) == "`a`, `b` and 1 more"
    assert codes([]) == "nothing"


def test_fenced_text_cannot_close_its_fence():
    text = "one\n```\n@team\n~~~~\n``````x\r\nthree\x00"
    lines = fenced(text).split("\n")
    assert lines[0] == "```````text"
    assert lines[-1] == "```````"
    assert lines[1:-1] == ["one", "```", "@team", "~~~~", "``````x", "three\u2400"]
