"""What each rule of datatrove's filters says, for a Python that has `datatrove[processing]`.

`python datatrove_parity.py DATA WORK` writes `WORK/verdicts.jsonl`, a line a document: its id and
the rules that drop it, each asked alone. It ends with a line of JSON: filter -> CPU seconds of the
filter with its defaults on all documents, the tokens made anew.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any


def filters() -> dict[str, tuple[Any, dict[str, tuple[Any, str | None]]]]:
    """Filter -> it with its defaults; rule -> it with this rule alone, and the reason meant."""
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    def gopher(**on: Any) -> Any:
        names = ("min_doc_words", "max_doc_words", "min_avg_word_length", "max_avg_word_length")
        more = ("max_symbol_word_ratio", "max_bullet_lines_ratio", "max_ellipsis_lines_ratio")
        last = ("max_non_alpha_words_ratio", "min_stop_words")
        off = dict.fromkeys((*names, *more, *last))
        return GopherQualityFilter(**{**off, **on})

    def repetition(**on: Any) -> Any:
        off = dict.fromkeys(
            ("dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac")
        )
        return GopherRepetitionFilter(**{**off, "top_n_grams": (), "dup_n_grams": (), **on})

    whole = GopherRepetitionFilter()
    top = {f"top_{n}gram": repetition(top_n_grams=((n, most),)) for n, most in whole.top_n_grams}
    again = {f"{n}grams_repeat": repetition(dup_n_grams=((n, m),)) for n, m in whole.dup_n_grams}

    def fineweb(**on: Any) -> Any:
        off = {"line_punct_thr": 0, "short_line_thr": 1, "char_duplicates_ratio": 1}
        return FineWebQualityFilter(**{**off, "new_line_ratio": math.inf, **on})

    def c4(**on: Any) -> Any:
        off = {"min_num_sentences": -1, "filter_lorem_ipsum": False, "filter_curly_bracket": False}
        return C4QualityFilter(**{**off, **on})

    symbols = gopher(max_symbol_word_ratio=0.1)
    return {
        "Gopher quality": (
            GopherQualityFilter(),
            {
                "too_short": (gopher(min_doc_words=50), None),
                "too_long": (gopher(max_doc_words=100_000), None),
                "words_too_short": (gopher(min_avg_word_length=3), None),
                "words_too_long": (gopher(max_avg_word_length=10), None),
                "too_many_hashes": (symbols, "gopher_too_many_hashes"),
                "too_many_ellipsis_signs": (symbols, "gopher_too_many_ellipsis"),
                "too_many_bullets": (gopher(max_bullet_lines_ratio=0.9), None),
                "too_many_ellipses": (gopher(max_ellipsis_lines_ratio=0.3), None),
                "too_few_letters": (gopher(max_non_alpha_words_ratio=0.8), None),
                "too_few_stop_words": (gopher(min_stop_words=2), None),
            },
        ),
        "Gopher repetition": (
            whole,
            {
                "paragraphs_repeat": (repetition(dup_para_frac=0.3), None),
                "paragraph_chars_repeat": (repetition(dup_para_char_frac=0.2), None),
                "lines_repeat": (repetition(dup_line_frac=0.3), None),
                "line_chars_repeat": (repetition(dup_line_char_frac=0.2), None),
                **{rule: (one, None) for rule, one in {**top, **again}.items()},
            },
        ),
        "FineWeb quality": (
            FineWebQualityFilter(),
            {
                "too_few_line_ends": (fineweb(line_punct_thr=0.12), None),
                "too_many_short_lines": (fineweb(short_line_thr=0.67), None),
                "line_chars_repeat": (fineweb(char_duplicates_ratio=0.01), None),
                "too_many_newlines": (fineweb(new_line_ratio=0.3), None),
            },
        ),
        "C4 quality": (
            C4QualityFilter(),
            {
                "lorem_ipsum": (c4(filter_lorem_ipsum=True), None),
                "braces": (c4(filter_curly_bracket=True), None),
                "too_few_sentences": (c4(min_num_sentences=5), None),
            },
        ),
    }


def records(data: str) -> Iterator[Any]:
    """The documents of a folder."""
    for path in sorted(Path(data).glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def asked(one: Any, text: str) -> str | None:
    """The reason for which a filter drops a text; None if it keeps it."""
    from datatrove.data import Document

    try:
        answer = one.filter(Document(text=text, id="0"))
    except ZeroDivisionError:  # a text without a word or a line
        return "nothing"
    kept, reason = answer if isinstance(answer, tuple) else (answer, "dropped")
    return None if kept else str(reason)


def judge(data: str, work: str) -> dict[str, float]:
    """Write the verdicts; the seconds of each filter."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from datatrove.utils.text import split_into_parts

    def timed(work: Callable[[], object]) -> float:
        split_into_parts.cache_clear()
        before = time.process_time()
        work()
        return time.process_time() - before

    made = filters()
    seconds = dict.fromkeys(made, 0.0)
    with Path(work, "verdicts.jsonl").open("w", encoding="utf-8") as out:
        for record in records(data):
            text, drops = record["text"], []
            for family, (whole, rules) in made.items():
                seconds[family] += timed(lambda one=whole, text=text: asked(one, text))  # type: ignore[misc]
                for rule, (one, meant) in rules.items():
                    said = asked(one, text)
                    if said is not None and meant in (None, said):
                        drops.append(f"{family}: {rule}")
            out.write(json.dumps({"id": record["id"], "drops": drops}) + "\n")
    return seconds


def main(arguments: Sequence[str]) -> int:
    """Judge the documents of a folder."""
    sys.stdout.write(json.dumps(judge(*arguments)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
