"""What names may do to the lines that a command prints."""

import pytest

from phloem.pipeline.cli.console import listing


def test_listing_makes_one_row_of_each_whatever_its_names_hold(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [{"name": "ভাল.txt", "n": 1}, {"name": "a\nerror\tall.txt\r\x1b[2J", "n": 2}]
    listing(rows, ("name", "n"), as_json=False)
    head, *lines = capsys.readouterr().out.split("\n")[:-1]
    assert head.split() == ["name", "n"]
    assert [line.split() for line in lines] == [
        ["ভাল.txt", "1"],
        ["a␊error␉all.txt␍␛[2J", "2"],
    ]
