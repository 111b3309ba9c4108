"""A whole chain beside those of other makers, on one sample, and how often they decide alike.

Each tool runs as its users run it, in processes of its own with one worker. Seconds are CPU seconds
of all these processes, and what the tool takes for `SMALL` documents counts as its start-up.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import yaml

from phloem.catalog.columns import LANGUAGE, PII_KINDS, TEXT
from phloem.catalog.handoff.tokenizer import train_tokenizer
from phloem.catalog.plain import Json
from phloem.catalog.rules import Rule, bound_of
from phloem.catalog.runs import load_run, newest_run, shards_of
from phloem.catalog.store import Store
from phloem.filters.op import find_op
from phloem.pipeline.bench.ops import records_of
from phloem.pipeline.recipe import RECIPES
from phloem.pipeline.registry.models import models
from phloem.pipeline.stage import StageError

RESULT = "seconds.json"  # of the stopwatch, in the folder where a command works

COLUMNS = (
    *("row", "MB", "CPU s", "start-up s", "MB/s", "net MB/s", "ratio", "net ratio"),
    *("alike", "says"),
)
PHLOEM = "phloem"
RECIPE = "chain"
SMALL = 20  # documents: what a tool takes for them is its start-up
PEERS = Path(__file__).parent / "peers"
SAID = 300  # characters of a failed tool's last line

# Rae et al. 2021 (Gopher, arXiv 2112.11446), for English: section A1.1 and table A1.
FAMILIES = {
    "Gopher quality": (
        Rule(name="too_short", column="word_count", min=50),
        Rule(name="too_long", column="word_count", max=100_000),
        Rule(name="words_too_short", column="mean_word_chars", min=3),
        Rule(name="words_too_long", column="mean_word_chars", max=10),
        Rule(name="too_many_hashes", column="hash_word_ratio", max=0.1),
        Rule(name="too_many_ellipsis_signs", column="ellipsis_word_ratio", max=0.1),
        Rule(name="too_many_bullets", column="bullet_line_frac", max=0.9),
        Rule(name="too_many_ellipses", column="ellipsis_line_frac", max=0.3),
        Rule(name="too_few_letters", column="alpha_word_frac", min=0.8),
        Rule(name="too_few_stop_words", column="stop_word_count", min=2),
    ),
    "Gopher repetition": (
        Rule(name="lines_repeat", column="dup_line_frac", max=0.3),
        Rule(name="paragraphs_repeat", column="dup_paragraph_frac", max=0.3),
        Rule(name="line_chars_repeat", column="dup_line_char_frac", max=0.2),
        Rule(name="paragraph_chars_repeat", column="dup_paragraph_char_frac", max=0.2),
        Rule(name="top_2gram", column="top_2gram_char_frac", max=0.2),
        Rule(name="top_3gram", column="top_3gram_char_frac", max=0.18),
        Rule(name="top_4gram", column="top_4gram_char_frac", max=0.16),
        Rule(name="5grams_repeat", column="dup_5gram_char_frac", max=0.15),
        Rule(name="6grams_repeat", column="dup_6gram_char_frac", max=0.14),
        Rule(name="7grams_repeat", column="dup_7gram_char_frac", max=0.13),
        Rule(name="8grams_repeat", column="dup_8gram_char_frac", max=0.12),
        Rule(name="9grams_repeat", column="dup_9gram_char_frac", max=0.11),
        Rule(name="10grams_repeat", column="dup_10gram_char_frac", max=0.1),
    ),
}
SURE = Rule(name="language_unsure", column="language_score", min=0.3)  # as in quickstart

Verdicts = Mapping[str, str | None]
"""Document -> the rule that drops it; None if it is kept."""

Chain = Callable[[Path, Path], tuple[float, str]]
"""(folder of the sample, folder to work in) -> CPU seconds, and what is left in words."""


def bench_chain(
    data: Path, *, peers: Mapping[str, str], repeat: int, told: Callable[[str], None]
) -> Iterator[dict[str, Json]]:
    """A row for each tool's chain, then one for each rule family and two tools that have it.

    Args:
        data: Folder of jsonl.gz files with id, text and lang; its English documents are taken.
        peers: Tool -> a Python that has it; a tool's program is `peers/TOOL_chain.py`.
        repeat: Rounds, one tool after the other, of which each tool's best counts.
        told: Told of every measurement as it is made.

    Raises:
        StageError: a Python has not its tool, there are too few documents, or a tool failed.
    """
    peers = {tool: interpreter(tool, python) for tool, python in peers.items()}
    versions = {tool: version_of(tool, python) for tool, python in peers.items()}
    records = english(records_of(data), data)
    size = sum(len(record["text"].encode()) for record in records)
    with tempfile.TemporaryDirectory(prefix="phloem-bench-") as name:
        folder = Path(name)
        samples = {
            "small": write_sample(spread(records, SMALL), folder / "small"),
            "whole": write_sample(records, folder / "whole"),
        }
        model = _model(folder, told)
        recipe, tokenizer = write_recipe(records, folder)
        chains: dict[str, Chain] = {PHLOEM: _own_chain(recipe, model.parent)}
        chains |= {tool: _peer_chain(tool, peers[tool], model, tokenizer) for tool in peers}
        best, left = _rounds(chains, samples, folder, repeat, told)
        rows = speed_rows(size, best)
        for tool, row in rows.items():
            yield {
                "row": " ".join((tool, versions.get(tool, ""))).strip(),
                **row,
                "says": left[tool],
            }
        verdicts = {PHLOEM: judge(records)}
        for tool, python in peers.items():
            verdicts[tool] = _peer_verdicts(tool, python, samples["whole"], folder, len(records))
        for family, (one, other) in itertools.product(FAMILIES, itertools.combinations(chains, 2)):
            yield agreement(family, one, other, verdicts[one][family], verdicts[other][family])


def interpreter(tool: str, python: str) -> str:
    """Where a Python lies, from any folder. Raises StageError if it is no program."""
    found = shutil.which(python)
    if found is None:
        raise StageError(
            f"--{tool} {python} is no program; name the interpreter of an environment with {tool}"
        )
    return os.path.abspath(found)  # noqa: PTH100 - an environment is known by its unresolved link


def version_of(tool: str, python: str) -> str:
    """The release of a tool that a Python has. Raises StageError if it has none."""
    code = f"from importlib.metadata import version; print(version({tool!r}))"
    done = _run([python, "-c", code])
    if done.returncode:
        raise StageError(
            f"--{tool} {python} has no {tool}: {_last(done.stderr)}; install it there, or name"
            " the interpreter of an environment that has it"
        )
    return done.stdout.strip()


def english(records: Sequence[Json], data: Path) -> list[Json]:
    """The documents of a language that the published rules are made for, numbered anew."""
    found = [r for r in records if (r.get("lang") or "en").split("-")[0] == "en"]
    if len(found) <= SMALL:
        raise StageError(
            f"{data} holds {len(found)} English documents of {len(records)}, and a chain is"
            f" measured on more than {SMALL}; name a folder with more, of lang en or none"
        )
    return [{"id": str(place), "text": r["text"], "lang": "en"} for place, r in enumerate(found)]


def spread(records: Sequence[Json], count: int) -> list[Json]:
    """So many documents, evenly out of all."""
    return [records[place * len(records) // count] for place in range(count)]


def write_sample(records: Sequence[Json], folder: Path) -> Path:
    """Write documents as the one file of a folder; the folder."""
    folder.mkdir()
    with gzip.open(folder / "sample.jsonl.gz", "wt", encoding="utf-8") as out:
        out.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    return folder


def write_recipe(records: Sequence[Json], folder: Path) -> tuple[Path, Path]:
    """Write the recipe quickstart with the published rules and a tokenizer that is given; both."""
    given = yaml.safe_load((RECIPES / "quickstart.yaml").read_text(encoding="utf-8"))
    data = train_tokenizer(
        (record["text"] for record in records),
        vocab_size=given["tokenizer"]["train"]["vocab_size"],
        special_tokens=[f"<{kind.upper()}>" for kind in PII_KINDS],
    )
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_bytes(data)
    rules = [SURE, *itertools.chain(*FAMILIES.values())]
    recipe = {
        **given,
        "name": RECIPE,
        "sources": [],
        "keep": [rule.model_dump(exclude_none=True) for rule in rules],
        "dedup": {**given["dedup"], "bands": 14, "rows": 8},  # as datatrove has them
        "tokenizer": {"file": str(tokenizer), "sha256": hashlib.sha256(data).hexdigest()},
    }
    path = folder / f"{RECIPE}.yaml"
    path.write_text(yaml.safe_dump(recipe, allow_unicode=True), encoding="utf-8")
    return path, tokenizer


def _model(folder: Path, told: Callable[[str], None]) -> Path:
    """The language model's file, which lies in its folder under its hash."""
    store = Store(str(folder / "models"))
    (model,) = models(store, [find_op("language", {})], told).values()
    return Path(model.on_this_machine(store))


def _own_chain(recipe: Path, model_folder: Path) -> Chain:
    def run(sample: Path, work: Path) -> tuple[float, str]:
        root = str(work / "root")
        command = [sys.executable, "-m", "phloem.pipeline.cli", "run", str(recipe), "--root", root]
        command += ["--input", str(sample / "*.jsonl.gz"), "--language", "en", "--workers", "1"]
        seconds, _ = cpu_of(PHLOEM, command, work, {"PHLOEM_MODELS": str(model_folder)})
        store = Store(root)
        shards = shards_of(store, load_run(store, newest_run(store)), "tokenize")
        names = ("documents", "tokens")
        return seconds, _left({name: sum(s.facts[name] for s in shards) for name in names})

    return run


def _peer_chain(tool: str, python: str, model: Path, tokenizer: Path) -> Chain:
    def run(sample: Path, work: Path) -> tuple[float, str]:
        inputs = [str(path) for path in (sample, work, model, tokenizer)]
        seconds, said = cpu_of(tool, [python, program(tool), "chain", *inputs], work, {})
        return seconds, _left(last_json(tool, said))

    return run


def program(tool: str) -> str:
    """What a tool's Python runs."""
    return str(PEERS / f"{tool}_chain.py")


def cpu_of(
    tool: str, command: Sequence[str], work: Path, environment: Mapping[str, str]
) -> tuple[float, str]:
    """CPU seconds of a command and of all that it starts, and what it printed.

    Raises StageError if it fails.
    """
    result = work / RESULT
    watch = [sys.executable, "-m", "phloem.pipeline.bench.stopwatch", str(result), *command]
    done = _run(watch, work, environment)
    found = json.loads(result.read_bytes()) if result.exists() else {"status": done.returncode}
    if found["status"] or done.returncode:
        raise StageError(
            f"{tool} ended with {found['status']}: {_last(done.stderr or done.stdout)}; run its"
            f" chain by itself to see all: {' '.join(command)}"
        )
    return float(found["cpu_seconds"]), done.stdout


def _run(
    command: Sequence[str], folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command with none of this process's modules in its way."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command,
        cwd=folder,
        env={**inherited, "PYTHONSAFEPATH": "1", **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def last_json(tool: str, said: str) -> Json:
    """The object on the last line that a tool's program printed. Raises StageError if none is."""
    last = _last(said)
    try:
        return json.loads(last)
    except ValueError:
        raise StageError(
            f"{tool}'s program ended with {last!r} and not with its counts; see {program(tool)}"
        ) from None


def _last(said: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:SAID] if lines else "it said nothing"


def _left(counts: Mapping[str, int]) -> str:
    return f"keeps {counts['documents']:,} documents, {counts['tokens']:,} tokens"


def _rounds(
    chains: Mapping[str, Chain],
    samples: Mapping[str, Path],
    folder: Path,
    repeat: int,
    told: Callable[[str], None],
) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """The least seconds of each tool on each sample, and what its chain leaves of the whole."""
    best: dict[str, dict[str, float]] = {tool: {} for tool in chains}
    left = {}
    for number in range(repeat + 1):
        for (name, sample), (tool, chain) in itertools.product(samples.items(), chains.items()):
            if number == 0 and name == "whole":
                continue  # the first small one compiles kernels and warms caches: it counts not
            work = folder / f"{tool}-{name}-{number}"
            work.mkdir()
            seconds, left[tool] = chain(sample, work)
            if number:
                best[tool][name] = min(seconds, best[tool].get(name, seconds))
                told(f"{tool}, {name} sample, round {number}: {seconds:.1f} CPU s")
    return best, left


def speed_rows(size: int, best: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, Json]]:
    """Tool -> its MB/s with and without start-up, and how many times ours takes less.

    Start-up may be all there is on a small sample: then there is no net, and its cells are empty.
    """
    net = {tool: found["whole"] - found["small"] for tool, found in best.items()}
    rows = {}
    for tool, found in best.items():
        row: dict[str, Json] = {
            "MB": round(size / 1e6, 2),
            "CPU s": round(found["whole"], 1),
            "start-up s": round(found["small"], 1),
            "MB/s": round(size / 1e6 / found["whole"], 2),
            "net MB/s": round(size / 1e6 / net[tool], 2) if net[tool] > 0 else None,
        }
        if tool != PHLOEM:
            row["ratio"] = round(found["whole"] / best[PHLOEM]["whole"], 1)
            positive = min(net[tool], net[PHLOEM]) > 0
            row["net ratio"] = round(net[tool] / net[PHLOEM], 1) if positive else None
        rows[tool] = row
    return rows


def judge(records: Sequence[Json]) -> dict[str, Verdicts]:
    """Family -> our verdicts on documents that are known to be English."""
    texts = pa.array([record["text"] for record in records], TEXT.type)
    languages = pa.array(["en"] * len(records), LANGUAGE.type)
    batch = pa.RecordBatch.from_arrays([texts, languages], names=[TEXT.name, LANGUAGE.name])
    values: dict[str, list[Json]] = {}
    for name in ("statistics", "repetition"):
        op = find_op(name, {})
        for column, array in zip(op.writes, op(batch).arrays, strict=True):
            values[column.name] = array.to_pylist()
    return {
        family: {
            record["id"]: broken(rules, {name: column[place] for name, column in values.items()})
            for place, record in enumerate(records)
        }
        for family, rules in FAMILIES.items()
    }


def broken(rules: Sequence[Rule], values: Mapping[str, Json]) -> str | None:
    """The first rule that drops a document; None if it is kept. A null is not judged."""
    for rule in rules:
        value = values[rule.column]
        least, most = bound_of(rule.min, "en"), bound_of(rule.max, "en")
        if value is not None and (
            (least is not None and value < least) or (most is not None and value > most)
        ):
            return rule.name
    return None


def _peer_verdicts(
    tool: str, python: str, sample: Path, folder: Path, count: int
) -> dict[str, Verdicts]:
    work = folder / f"{tool}-verdicts"
    work.mkdir()
    done = _run([python, program(tool), "judge", str(sample), str(work)], work)
    if done.returncode:
        raise StageError(f"{tool} could not judge the sample: {_last(done.stderr)}")
    return parse_verdicts(tool, (work / "verdicts.jsonl").read_text(encoding="utf-8"), count)


def parse_verdicts(tool: str, text: str, count: int) -> dict[str, Verdicts]:
    """Family -> a peer's verdicts, from lines of JSON. Raises StageError unless all are there."""
    rows = [json.loads(line) for line in text.splitlines()]
    if len({row["id"] for row in rows}) != count:
        raise StageError(f"{tool} judged {len(rows):,} documents of {count:,}; see {program(tool)}")
    return {family: {row["id"]: row[family] for row in rows} for family in FAMILIES}


def agreement(
    family: str, one: str, other: str, left: Verdicts, right: Verdicts
) -> dict[str, Json]:
    """How often two tools decide alike by a family, and what most of their differences are."""
    alike = sum((left[id_] is None) == (right[id_] is None) for id_ in left)
    says = [f"{one} keeps {_kept(left)}, {other} {_kept(right)}"]
    differences = differing(one, other, left, right)
    if differences:
        (rule, count), *_ = differences.most_common(1)
        says.append(f"of {differences.total():,} differences {count:,} are {rule}")
    share = f"{alike / len(left):.1%}"
    return {"row": f"{family}: {one}, {other}", "alike": share, "says": "; ".join(says)}


def differing(one: str, other: str, left: Verdicts, right: Verdicts) -> Counter[str]:
    """How often a rule drops what the other tool keeps: the tool's name and the rule."""
    found: Counter[str] = Counter()
    for id_ in left:
        mine, theirs = left[id_], right[id_]
        if mine is not None and theirs is None:
            found[f"{one}'s {mine}"] += 1
        if mine is None and theirs is not None:
            found[f"{other}'s {theirs}"] += 1
    return found


def _kept(verdicts: Verdicts) -> str:
    return f"{sum(rule is None for rule in verdicts.values()):,}"
