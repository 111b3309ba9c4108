"""Names and texts of others, before they are shown."""

from phloem.reports.visible import visible


def test_visible_control_and_reordering_characters_are_shown() -> None:
    assert visible("a\x00b\x1b\x7f\x85") == "a␀b␛␡\ufffd"
    assert visible("\u202eabc\u202c\u2066") == "[U+202E]abc[U+202C][U+2066]"


def test_visible_marks_that_scripts_need_stay() -> None:
    text = "می\u200cخواهم क्\u200dष \u200e\u200f\tline\nnext 👩\u200d🚀"
    assert visible(text) == text
