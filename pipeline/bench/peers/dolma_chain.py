"""The chain of dolma's toolkit and its verdicts, for a Python that has `dolma`.

`chain DATA WORK MODEL TOKENIZER` ends with a line of JSON: the documents and tokens that are left.
`judge DATA WORK` writes `WORK/verdicts.jsonl`: id, and the rule of each family that drops it.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

MODEL = "CHAIN_LANGUAGE_MODEL"  # how worker processes, which import this anew, learn of it
END_OF_DOCUMENT = "<|endoftext|>"
MIN_LANGUAGE_SCORE = 0.3  # what Phloem's recipe asks for
TAGGED, REPEATED = "tagged", "repeated"  # names of the attributes that the two steps write
TOKEN_BYTES = 2  # uint16: the vocabulary is smaller

LANGUAGE, GOPHER = "ft_lang_id_en_only_v2", "gopher_v2"
PERSONAL = "pii_regex_with_counts_fast_v2"
PLACEHOLDERS = {"EMAIL_ADDRESS": "<EMAIL>", "IP_ADDRESS": "<IP>", "PHONE_NUMBER": "<PHONE>"}

# Gopher's rules (arXiv 2112.11446): A1.1 for quality, table A1 for repetition. dolma measures, and
# leaves the bounds to who mixes. It has the median of word lengths, and no measure of paragraphs.
QUALITY = {
    "word_count": (50, 100_000),
    "median_word_length": (3, 10),
    "symbol_to_word_ratio": (None, 0.1),
    "fraction_of_lines_starting_with_bullet_point": (None, 0.9),
    "fraction_of_lines_ending_with_ellipsis": (None, 0.3),
    "fraction_of_words_with_alpha_character": (0.8, None),
    "required_word_count": (2, None),
}
REPETITION = {
    "fraction_of_duplicate_lines": (None, 0.3),
    "fraction_of_characters_in_duplicate_lines": (None, 0.2),
    "fraction_of_characters_in_most_common_2grams": (None, 0.2),
    "fraction_of_characters_in_most_common_3grams": (None, 0.18),
    "fraction_of_characters_in_most_common_4grams": (None, 0.16),
    "fraction_of_characters_in_duplicate_5grams": (None, 0.15),
    "fraction_of_characters_in_duplicate_6grams": (None, 0.14),
    "fraction_of_characters_in_duplicate_7grams": (None, 0.13),
    "fraction_of_characters_in_duplicate_8grams": (None, 0.12),
    "fraction_of_characters_in_duplicate_9grams": (None, 0.11),
    "fraction_of_characters_in_duplicate_10grams": (None, 0.10),
}
Bounds = Mapping[str, tuple[float | None, float | None]]


def offline() -> None:
    """Keep dolma from the network, in this process and in the workers that import this anew."""
    import nltk

    # dolma fetches a model of sentences when it is imported, which no step here uses.
    nltk.download = lambda *_, **__: False
    if MODEL in os.environ:
        from dolma.taggers.language import FastTextAllLanguagesDocumentTagger

        FastTextAllLanguagesDocumentTagger.MODEL_PATH = os.environ[MODEL]


def chain(data: str, work: str, model: str, tokenizer: str) -> dict[str, int]:
    """Language, Gopher's measures, paragraphs seen before, the mix, personal data and tokens."""
    os.environ[MODEL] = model
    offline()
    folder = Path(work, "sample")
    (folder / "documents").mkdir(parents=True)
    for path in sorted(Path(data).glob("*.jsonl.gz")):
        (folder / "documents" / path.name).symlink_to(path)
    documents = f"{folder}/documents/*.jsonl.gz"
    tag = ["--taggers", LANGUAGE, GOPHER, PERSONAL, "--experiment", TAGGED]
    dolma("tag", "--documents", documents, *tag)
    configure(work, "dedupe", deduplication(documents, work))
    configure(work, "mix", mixture(documents, f"{work}/mixed"))
    legacy, end = legacy_tokenizer(json.loads(Path(tokenizer).read_text(encoding="utf-8")))
    name = Path(work, "tokenizer.json")
    name.write_text(json.dumps(legacy), encoding="utf-8")
    kind = ["--tokenizer.name_or_path", str(name), "--tokenizer.eos_token_id", str(end)]
    place = ["--documents", f"{work}/mixed/*.gz", "--destination", f"{work}/tokens"]
    dolma("tokens", *place, *kind, "--dtype", "uint16")
    kept = sum(1 for _ in records(f"{work}/mixed"))
    size = sum(path.stat().st_size for path in Path(work, "tokens").glob("*.npy"))
    return {"documents": kept, "tokens": size // TOKEN_BYTES}


def dolma(*arguments: str) -> None:
    """A command of dolma's, with one worker."""
    from dolma.cli.main import main as command

    command([*arguments, "--processes", "1"] if "--config" not in arguments else [*arguments])


def configure(work: str, command: str, config: Any) -> None:
    """A command whose options stand in a file."""
    path = Path(work, f"{command}.json")
    path.write_text(json.dumps({**config, "processes": 1}), encoding="utf-8")
    dolma("--config", str(path), command)


def deduplication(documents: str, work: str) -> Any:
    """A Bloom filter over paragraphs, as Dolma has it (arXiv 2402.00159): it has no MinHash."""
    bloom = {
        "file": f"{work}/bloom.bin",
        "read_only": False,
        "estimated_doc_count": 1_000_000,
        "desired_false_positive_rate": 0.0001,
    }
    dedupe = {"name": REPEATED, "paragraphs": {"attribute_name": REPEATED}, "skip_empty": True}
    return {"documents": [documents], "dedupe": dedupe, "bloom_filter": bloom}


def mixture(documents: str, output: str) -> Any:
    """Leave out what Gopher's rules drop, blank out repeated paragraphs, mask personal data."""
    exclude = [
        f"$.attributes[?(@.{TAGGED}__{GOPHER}__{name}[0][2] {sign} {bound})]"
        for name, (least, most) in {**QUALITY, **REPETITION}.items()
        for sign, bound in (("<", least), (">", most))
        if bound is not None
    ]
    english = f"$.attributes[?(@.{TAGGED}__{LANGUAGE}__en[0][2] >= {MIN_LANGUAGE_SCORE})]"
    replace = {
        f"{TAGGED}__{PERSONAL}__{kind}": placeholder for kind, placeholder in PLACEHOLDERS.items()
    }
    stream = {
        "name": "sample",
        "documents": [documents],
        "attributes": [TAGGED, REPEATED],
        "filter": {"include": [english], "exclude": exclude},
        "span_replacement": [
            {"span": f"$.attributes.{span}", "min_score": 0.5, "replacement": placeholder}
            for span, placeholder in {REPEATED: "", **replace}.items()
        ],
        "output": {"path": output, "max_size_in_bytes": 2**30},
    }
    return {"streams": [stream]}


def legacy_tokenizer(tokenizer: Any) -> tuple[Any, int]:
    """The tokenizer as old releases of `tokenizers` read it, dolma's among them; and its end."""
    model = tokenizer["model"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    (end,) = [t["id"] for t in tokenizer["added_tokens"] if t["content"] == END_OF_DOCUMENT]
    return {**tokenizer, "model": {**model, "merges": merges}}, end


def judge(data: str, work: str) -> None:
    """What Gopher's rules say of every document by dolma's measures."""
    offline()
    from dolma.taggers.gopher import get_attributes

    families: dict[str, Bounds] = {"Gopher quality": QUALITY, "Gopher repetition": REPETITION}
    with Path(work, "verdicts.jsonl").open("w", encoding="utf-8") as out:
        for record in records(data):
            spans = get_attributes(record["text"], ignore_empty_lines=True).as_spans()
            values = {span.type: float(span.score) for span in spans}
            found = {name: broken(rules, values) for name, rules in families.items()}
            out.write(json.dumps({"id": record["id"], **found}) + "\n")


def broken(rules: Bounds, values: Mapping[str, float]) -> str | None:
    """The first rule that drops a document; what a text is too short to have is not judged."""
    for name, (least, most) in rules.items():
        value = values.get(name)
        if value is None:
            continue
        if (least is not None and value < least) or (most is not None and value > most):
            return name
    return None


def records(data: str) -> Iterator[Any]:
    """The documents of a folder."""
    for path in sorted(Path(data).glob("*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def main(arguments: Sequence[str]) -> int:
    """Do what the first argument names."""
    what, *rest = arguments
    if what == "judge":
        judge(*rest)
    else:
        sys.stdout.write(json.dumps(chain(*rest)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
elif MODEL in os.environ:
    offline()  # a worker of dolma's, which imports this file under another name
