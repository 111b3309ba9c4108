"""Code is named by first line, name, type and text, and measured as its reference measures."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phloem.filters.code import PROGRAMMING_LANGUAGE, code
from phloem.filters.programming import base_name, names, programming_language

SNIPPETS = {
    "C": "#include <stdio.h>\nint main(void) { return 0; }\n",
    "C#": "using System;\nclass A { static void Main() {} }\n",
    "C++": "#include <vector>\nstd::vector<int> v;\n",
    "CSS": ".menu > li {\n  color: red;\n}\n",
    "Go": 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("世界") }\n',
    "HTML": "<!DOCTYPE html>\n<title>Größe</title>\n",
    "JSON": '{\n "name": "ñandú"}\n',
    "Java": "package org.example;\n\npublic class A {}\n",
    "JavaScript": "const a = require('a');\n",
    "Kotlin": "fun main() {\n  println(1)\n}\n",
    "Lua": "local t = {}\n",
    "PHP": "<?php echo 1;\n",
    "Perl": "use strict;\nmy $a = 1;\n",
    "Python": "import os\n\ndef f(x):\n    return x  # чай\n",
    "R": "library(stats)\nx <- 1\n",
    "Ruby": "require 'json'\n\nmodule A\nend\n",
    "Rust": "use std::io;\n\nfn main() {\n}\n",
    "SQL": "CREATE TABLE a (b int);\n",
    "Scala": "object Main extends App\n",
    "TeX": "\\documentclass{article}\n",
    "TypeScript": "interface A {\n  b: string;\n}\n",
    "XML": '<?xml version="1.0"?>\n<a/>\n',
    "YAML": "---\na: 1\n",
}


def _measured(text: str | None, name: str = "", tag: str = "zxx", **more: str) -> dict[str, object]:
    given = {"text": text, "language": tag, "native_id": name, "url": None, "media_type": None}
    row = {**given, **more}
    batch = pa.record_batch({key: pa.array([value], pa.string()) for key, value in row.items()})
    found = code(batch).arrays
    return {c.name: a[0].as_py() for c, a in zip(code.writes, found, strict=True)}


@pytest.mark.parametrize(("language", "text"), SNIPPETS.items(), ids=SNIPPETS)
def test_programming_language_is_told_by_the_text_alone(language: str, text: str) -> None:
    assert programming_language("", None, text) == language


@pytest.mark.parametrize(
    ("name", "text", "language"),
    [
        ("src/main.rs", "", "Rust"),
        ("a\\b\\Makefile", "", "Makefile"),
        ("INDEX.HTML", "", "HTML"),
        ("page.html.hl", "", "HTML"),
        ("tool.py#2", "", "Python"),
        ("https://example.org/x/a.go?raw=1#L5", "", "Go"),
        ("a.h", "int f(int);\n", "C"),
        ("a.h", "namespace a {\n}\n", "C++"),
        ("a.h", "@interface A : B\n@end\n", "Objective-C"),
        ("a.m", "function y = f(x)\n% doc\nend\n", "MATLAB"),
        ("a.m", "#import <A.h>\n@implementation A\n@end\n", "Objective-C"),
        ("a.pl", "parent(a, b).\nold(X) :- parent(X, _).\n", "Prolog"),
        ("a.pl", "my $x = 1;\n", "Perl"),
        ("a.ts", '<?xml version="1.0"?><TS/>', "XML"),
        ("a.ts", "let a: number = 1\n", "TypeScript"),
        ("run", "#!/usr/bin/env python3\n", "Python"),
        ("run.txt", "#!/bin/bash -e\n", "Shell"),
        ("run", "#! /usr/bin/env -S node --x\n", "JavaScript"),
        ("nothing", "ສະບາຍດີ", None),
        ("", "", None),
    ],
)
def test_programming_language_heeds_first_line_and_name(
    name: str, text: str, language: str | None
) -> None:
    assert programming_language(name, None, text) == language


def test_programming_language_asks_the_media_type_where_the_name_says_nothing() -> None:
    assert programming_language("7", "text/x-python; charset=utf-8", "1") == "Python"
    assert programming_language("7.lua", "text/x-python", "1") == "Lua"


def test_names_are_each_of_one_language_and_extensions_begin_with_a_dot() -> None:
    assert all(word.startswith(".") and word == word.lower() for word in names().extensions)
    assert len(names().extensions) > 1200
    assert len(set(names().extensions.values())) > 600


@given(st.text())
def test_base_name_holds_no_folder(name: str) -> None:
    assert not {"/", "\\"} & set(base_name(name))


@given(st.lists(st.text(alphabet=st.sampled_from("aé9\n 世०{}٣\u2028")), max_size=6))
def test_code_measures_what_its_reference_measures(texts: list[str]) -> None:
    nothing = pa.nulls(len(texts), pa.string())
    batch = pa.record_batch(
        {
            "text": pa.array(texts, pa.string()),
            "language": pa.array(["zxx"] * len(texts), pa.string()),
            "native_id": nothing,
            "url": nothing,
            "media_type": nothing,
        }
    )
    assert code.reference is not None
    assert code(batch).arrays == code.reference(batch)


@pytest.mark.parametrize("tag", ["en", "und", "am", None])
def test_code_judges_nothing_in_a_human_language(tag: str | None) -> None:
    found = _measured("def f():\n    pass\n", "a.py", tag)  # type: ignore[arg-type]
    assert set(found.values()) == {None}


def test_code_counts_what_programs_wrote_in_the_first_five_lines_alone() -> None:
    said = "// This file is generated. DO NOT EDIT"
    assert _measured(said)["code_generated_count"] == 1
    assert _measured("\n" * 4 + said)["code_generated_count"] == 1
    assert _measured("\n" * 5 + said)["code_generated_count"] == 0
    assert _measured("# AUTOGENERATED, auto-generated by x")["code_generated_count"] == 2


@pytest.mark.parametrize(
    ("piece", "found"),
    [
        ("A" * 63, 0),
        ("Qk0=" * 16, 64),
        ("0x1f," * 8, 40),
        ("\\x1f" * 9, 32),
        ("\\u4e16" * 8, 48),
        ("\\u4e16" * 7, 0),
    ],
)
def test_code_finds_encoded_data_by_its_signs(piece: str, found: int) -> None:
    text = f"д = '{piece}'"
    measured = _measured(text)
    assert measured["code_encoded_chars"] == pytest.approx(found, abs=1)
    share = measured["code_encoded_frac"]
    assert share == pytest.approx(found / len(text), abs=1.5 / len(text))


def test_code_that_two_patterns_find_counts_once() -> None:
    found = _measured(", ".join(["0a"] * 100) + "\n" + "ab " * 100)
    assert 0 < found["code_encoded_frac"] <= 1  # type: ignore[operator]


def test_code_of_a_long_line_of_data_is_measured_whole() -> None:
    text = json.dumps({"a": list(range(5000))}) + "\n"
    found = _measured(text, "a.json")
    assert found[PROGRAMMING_LANGUAGE.name] == "JSON"
    assert found["code_longest_line_chars"] == found["code_mean_line_chars"] == len(text) - 1
