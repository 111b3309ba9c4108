"""Which programming, markup or data language a file is in: by its name, its type, its text."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

NAMES = "programming_languages.yaml"
HEAD_CHARS = 4000  # of a text that are looked at

MEDIA_TYPES: Mapping[str, str] = {
    "text/css": "CSS",
    "text/csv": "CSV",
    "text/html": "HTML",
    "text/javascript": "JavaScript",
    "text/markdown": "Markdown",
    "text/x-c": "C",
    "text/x-c++": "C++",
    "text/x-csharp": "C#",
    "text/x-fortran": "Fortran",
    "text/x-go": "Go",
    "text/x-haskell": "Haskell",
    "text/x-java": "Java",
    "text/x-julia": "Julia",
    "text/x-kotlin": "Kotlin",
    "text/x-lua": "Lua",
    "text/x-perl": "Perl",
    "text/x-php": "PHP",
    "text/x-python": "Python",
    "text/x-r": "R",
    "text/x-rst": "reStructuredText",
    "text/x-ruby": "Ruby",
    "text/x-rust": "Rust",
    "text/x-scala": "Scala",
    "text/x-script.python": "Python",
    "text/x-sh": "Shell",
    "text/x-shellscript": "Shell",
    "text/x-sql": "SQL",
    "text/x-swift": "Swift",
    "text/x-tex": "TeX",
    "text/x-toml": "TOML",
    "text/x-typescript": "TypeScript",
    "text/x-yaml": "YAML",
}
"""What the media types of source text mean, in linguist's names."""

_CPP = r"^\s*(?:class \w+|namespace \w*|template ?<|using namespace|#include <\w+>)|\bstd::"
_OBJECTIVE_C = r"^\s*(?:@interface|@implementation|@protocol|@property|#import )"

# Extensions of more than one language: the first whose sign the text shows, before the usual one.
# In the manner of linguist's heuristics.yml.
_SIGNS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "C": (("Objective-C", _OBJECTIVE_C), ("C++", _CPP)),
    "Objective-C": (("MATLAB", r"^\s*(?:%|function\b[^{]*$|end;?$)"),),
    "Perl": (("Prolog", r"^[^#\n]*:-"),),
    "TypeScript": (("XML", r"\A\s*<\?xml"),),
    "Verilog": (("Rocq Prover", r"^\s*(?:Proof|Qed|Lemma|Theorem|Require Import)\b"),),
}
_SHARED = frozenset((".h", ".m", ".pl", ".ts", ".v"))

# Signs of a language in a text without a name, the surest first. Each holds at a line's beginning.
_BY_TEXT: tuple[tuple[str, str], ...] = (
    ("PHP", r"<\?php"),
    ("HTML", r"\s*<(?i:!doctype html|html\b)"),
    ("XML", r"\s*<\?xml"),
    ("JSON", r"\A\s*[\[{]\s*(?:\"[^\"\n]*\"\s*:|[\[{]\s*\")"),
    ("TeX", r"\\(?:documentclass|begin\{|usepackage)"),
    ("Go", r"package \w+\n(?:.*\n)*?(?:import|func|type|var) "),
    ("Java", r"(?:import java[\w.]*\.[\w*]+;|package [\w.]+;|public (?:final )?class \w+)"),
    ("C#", r"using System\b"),
    ("Scala", r"(?:object \w+ (?:extends|\{)|import scala\.|case class )"),
    ("Kotlin", r"(?:fun \w+\(|data class |import kotlin)"),
    ("Rust", r"(?:use (?:std|crate)::|(?:pub )?fn \w+.*\{$|impl\b.*\{$|#\[derive)"),
    ("Objective-C", r"(?:@interface|@implementation|#import )"),
    ("C++", r"(?:#include <(?:iostream|string|vector|map|memory)>|using namespace |template ?<)"),
    ("C", r"(?:#include [<\"]|#define \w+|typedef struct|int main\()"),
    ("TypeScript", r"(?:export )?(?:interface \w+ \{|type \w+ =|enum \w+ \{)"),
    (
        "JavaScript",
        r"\s*(?:(?:const|let|var) (?:\w+|\{[^}\n]*\}) =|function \w*\(.*\) ?\{|import .* from ['])",
    ),
    (
        "Python",
        r"\s*(?:(?:async )?def \w+\(|class \w+.*:$|from [\w.]+ import |import [\w.]+(?: as \w+)?$)",
    ),
    ("Ruby", r"\s*(?:require ['\"]|require_relative |module [A-Z]|def \w+[?!]?$|attr_\w+ :)"),
    ("Lua", r"\s*(?:local \w+|function [\w.:]+\(.*\)$)"),
    ("Perl", r"(?:use strict;|use warnings;|my [$@%]\w+|sub \w+ \{)"),
    ("R", r"(?:library\(|\w[\w.]* <- )"),
    ("SQL", r"(?i:create (?:table|view|index|database)|insert into|select .* from|drop table) "),
    ("Shell", r"(?:if \[ |export \w+=|echo |fi$|done$)"),
    ("CSS", r"(?:[.#]?[\w-]+(?:[ ,:>]+[.#]?[\w-]+)* \{$|@media )"),
    ("YAML", r"(?:---$|[\w-]+:(?: |$).*\n(?:  |- ))"),
    ("INI", r"\[[\w. -]+\]\n\w+ ?="),
)
_COMPILED = tuple((name, re.compile(f"^(?:{sign})", re.MULTILINE)) for name, sign in _BY_TEXT)

_REPEATED = re.compile(r"#\d+$")  # of a native id whose name another had before
_SHEBANG = re.compile(r"\A#![ \t]*(?:\S*/)?([^/\s]+)(?:[ \t]+(?:-\S+[ \t]+)*(\S+))?")


@dataclass(frozen=True)
class Names:
    """What stands for a language in the name of a file.

    Attributes:
        extensions: With the dot, in lower case.
        filenames: Whole names.
        interpreters: As a first line calls them, without version.
    """

    extensions: Mapping[str, str]
    filenames: Mapping[str, str]
    interpreters: Mapping[str, str]


@functools.cache
def names() -> Names:
    """The languages that `programming_languages.yaml` lists, by what stands for them."""
    path = Path(__file__).with_name(NAMES)
    given = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
    found: dict[str, dict[str, str]] = {"extensions": {}, "filenames": {}, "interpreters": {}}
    for language, own in given.items():
        for kind, words in own.items():
            found[kind] |= dict.fromkeys(words.split(), language)
    found["extensions"] = {word.lower(): name for word, name in found["extensions"].items()}
    return Names(**found)


def programming_language(name: str, media_type: str | None, text: str) -> str | None:
    """The language of a file, in linguist's names; None where nothing tells it.

    What its first line calls goes before its name, the name before the media type, and that before
    what the text looks like.

    Args:
        name: Of the file, with folders or without; empty where there is none.
        media_type: Its IANA media type, if known.
        text: Its text, of which the beginning is looked at.
    """
    head = text[:HEAD_CHARS]
    found = _by_first_line(head) or _by_name(name, head)
    if found is None and media_type:
        found = MEDIA_TYPES.get(media_type.split(";")[0].strip().lower())
    if found is None:
        found = next((language for language, sign in _COMPILED if sign.search(head)), None)
    return found


def base_name(name: str) -> str:
    """What stands behind the last folder of a path or an address, without query or fragment."""
    plain = re.split(r"[?#]", name, maxsplit=1)[0] if "://" in name else _REPEATED.sub("", name)
    return re.split(r"[/\\]", plain)[-1]


def _by_first_line(head: str) -> str | None:
    found = _SHEBANG.match(head)
    if not found:
        return None
    called = found[2] if found[1] == "env" and found[2] else found[1]
    plain = re.sub(r"[\d.]+$", "", called)
    known = names().interpreters
    return known.get(called) or known.get(plain)


def _by_name(name: str, head: str) -> str | None:
    known, base = names(), base_name(name)
    found = known.filenames.get(base)
    if found:
        return found
    lowered = base.lower()
    dots = [place for place, char in enumerate(lowered) if char == "."]
    for dot in dots:  # the longest first: `.html.hl` before `.hl`
        language = known.extensions.get(lowered[dot:])
        if language:
            return _looked_into(language, head) if lowered[dot:] in _SHARED else language
    return None


def _looked_into(language: str, head: str) -> str:
    signs = _SIGNS.get(language, ())
    return next((name for name, sign in signs if re.search(sign, head, re.MULTILINE)), language)
