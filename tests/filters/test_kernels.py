from __future__ import annotations

import subprocess
import sys
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from code_points import categories_of_interpreter
from hypothesis import given
from hypothesis import strategies as st

from phloem.filters import kernels
from phloem.filters.kernels.classes import (
    DIGIT,
    LETTER,
    MARK,
    SPACE,
    UNSPACED,
    UPPER,
    classes,
    lower,
    read_runs,
)
from phloem.filters.kernels.utf8 import code_point, leads, strings, to_strings, width

UNICODE = read_runs(kernels.classes.CATEGORIES)[0].removeprefix("unicode ")
STRINGS = st.lists(st.one_of(st.none(), st.text(max_size=5)), max_size=8)


def test_class_table_agrees_with_the_interpreter_on_what_both_know() -> None:
    table = classes()
    flags = {"L": LETTER, "M": MARK, "Nd": DIGIT}
    for code in range(0x110000):
        kind = unicodedata.category(chr(code))
        wanted = flags.get(kind, flags.get(kind[0], 0))
        got = int(table[code]) & (LETTER | MARK | DIGIT)
        # A later Unicode assigns more; it changes no letter, mark or digit into another of them.
        assert got in (wanted, 0), hex(code)
        if unicodedata.unidata_version == UNICODE:
            assert got == wanted, hex(code)


def test_category_file_is_what_its_command_writes() -> None:
    if unicodedata.unidata_version != UNICODE:
        assert unicodedata.unidata_version > "14"
        return
    assert kernels.classes.CATEGORIES.read_text() == categories_of_interpreter()


@pytest.mark.parametrize(
    ("char", "flags"),
    [
        ("Ǆ", LETTER | UPPER),
        ("ก", LETTER | UNSPACED),
        ("漢", LETTER | UNSPACED),
        ("한", LETTER),
        ("\u0e34", MARK),
        ("٣", DIGIT),
        ("\u3000", SPACE),
        ("\n", SPACE),
        ("。", 0),
    ],
)
def test_classes_of_some_characters(char: str, flags: int) -> None:
    assert classes()[ord(char)] == flags


def test_spaces_are_those_of_str_split_and_the_ethiopic_one() -> None:
    spaces = {chr(code) for code in np.flatnonzero(classes() & SPACE)}
    assert spaces - {"\u1361"} == {chr(code) for code in range(0x110000) if chr(code).isspace()}


def test_lower_follows_str_lower() -> None:
    assert [chr(lower()[ord(char)]) for char in "AÉЖΣİaß漢"] == list("aéжσiaß漢")


@given(char=st.characters(codec="utf-8"))
def test_code_point_decodes(char: str) -> None:
    data = np.frombuffer(char.encode(), np.uint8)
    assert width(data[0]) == len(data)
    assert code_point(data, 0, len(data)) == ord(char)


@given(chars=st.sets(st.characters(codec="utf-8"), max_size=3))
def test_leads_are_the_bytes_that_begin_what_is_wanted(chars: set[str]) -> None:
    wanted = np.zeros(0x110000, np.bool_)
    wanted[[ord(char) for char in chars]] = True
    assert set(np.flatnonzero(leads(wanted)).tolist()) == {char.encode()[0] for char in chars}


@given(texts=STRINGS, start=st.integers(0, 8), wide=st.booleans())
def test_strings_and_back_give_the_same(texts: list[str | None], start: int, wide: bool) -> None:
    kind = pa.large_string() if wide else pa.string()
    array = pa.array(texts, kind).slice(start)
    found = strings(array)
    base = found.offsets - found.offsets[0]
    data = found.data[found.offsets[0] : found.offsets[-1]]
    assert to_strings(data, base, found.valid, kind).to_pylist() == array.to_pylist()


def test_cache_folder_depends_on_the_kernels_and_yields_to_the_user(tmp_path: object) -> None:
    code = "import os, phloem.filters.kernels as k, numba; print(numba.config.CACHE_DIR)"
    base = {"PATH": "/usr/bin", "HOME": str(tmp_path)}

    def folder(**more: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**base, **more},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    assert folder() == f"{tmp_path}/.cache/phloem/numba-{kernels.source_hash()}"
    assert folder(NUMBA_CACHE_DIR="/somewhere") == "/somewhere"
