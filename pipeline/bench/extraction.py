"""How faithful `html` is: pages beside the sources that generators made them of."""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from pydantic import BaseModel, ConfigDict

from phloem.catalog.columns import CONTENT, MEDIA_TYPE, NATIVE_ID
from phloem.catalog.errors import UseError
from phloem.catalog.nearest import nearest
from phloem.catalog.plain import Json
from phloem.filters.charset import decode_page
from phloem.filters.extract import html
from phloem.pipeline.bench.chain import PEERS, cpu_of, interpreter, version_of
from phloem.pipeline.bench.markups import MARKUPS
from phloem.pipeline.bench.truth import Truth, joined
from phloem.sources.connector import Fault, Pin, SourceError, find_connector
from phloem.sources.limits import Limits

COLUMNS = ("generator", "pages", "tool", "blocks", "code kept", "digits", "F1 mean", "F1 least")

GENERATORS = Path(__file__).parent / "generators.yaml"
TOOL = "trafilatura"

Members = dict[str, dict[str, Any]]

# A page that only sends a browser on to another, which shows nothing of it.
_MOVED = re.compile(rb"""(?i)<meta[^>]*http-equiv=["']?refresh["']?[^>]*content=["']?0""")


class Made(BaseModel):
    """A generator, and packages that hold pages which it made and what it made them of.

    Attributes:
        generator: Name.
        markup: Of the sources: a key of `MARKUPS`.
        pages: A connector's name and its parameters; of `include`, what the first `*` of a glob
            stands for is the name of a page, and what stands before a glob may be anything.
            Folders in a name may be written with dots.
        sources: The same of the sources: a page's has its name.
        whole: Whether pages and sources are parted differently, and so compared as one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    generator: str
    markup: str
    pages: Members
    sources: Members
    whole: bool = False


@dataclass(frozen=True)
class Pair:
    """A page, or the pages of a book, and what the sources say."""

    pages: tuple[bytes, ...]
    truth: Truth


def load_generators(names: Sequence[str]) -> list[Made]:
    """The generators of these names, or all. Raises UseError for a name that there is not."""
    entries = yaml.safe_load(GENERATORS.read_text("utf-8"))
    made = {entry["generator"]: Made.model_validate(entry) for entry in entries}
    for name in names:
        if name not in made:
            raise UseError(f"no pages of a generator {name!r}; {nearest(name, list(made))}")
    return [made[name] for name in names or made]


def bench_extraction(
    data: Path, made: Sequence[Made], *, trafilatura: str | None, told: Callable[[str], None]
) -> Iterator[dict[str, Json]]:
    """Read pages by `html`, and by trafilatura if a Python has it, and hold them to their sources.

    Args:
        data: Folder in which packages are kept once they are fetched.
        made: The generators.
        trafilatura: A Python that has it.
        told: Is told of what cannot be measured.

    Yields:
        A row for each generator and tool: how many pages; how many blocks of code the sources hold,
        and how many of them the text, byte for byte; the share of the sources' runs of digits
        that the text holds; the F1 of words, over a page or a book, by mean and at least.
    """
    python = interpreter(TOOL, trafilatura) if trafilatura else None
    peer = f"{TOOL} {version_of(TOOL, python)}" if python else ""
    for each in made:
        try:
            pairs = pairs_of(each, data)
        except SourceError as error:
            told(f"{each.generator}: {error}")
            continue
        if not pairs:
            told(f"{each.generator}: no page has a source of its name")
            continue
        texts = {"html": _joined(pairs, _read)}
        if python:
            texts[peer] = _joined(pairs, lambda pages: _peer_read(python, pages))
        for tool, said in texts.items():
            yield {
                "generator": each.generator,
                "pages": sum(len(pair.pages) for pair in pairs),
                "tool": tool,
                **faithful([pair.truth for pair in pairs], said),
            }


def pairs_of(made: Made, data: Path) -> list[Pair]:
    """Pages and what their sources say, by name."""
    pages = {
        name: [page for page in each if not _MOVED.search(page)]
        for name, each in _members(made.pages, data).items()
    }
    sources = _members(made.sources, data)
    if made.whole:
        pages = {"": [page for name in sorted(pages) for page in pages[name]]}
        sources = {"": [_book(sources)]}
    read = MARKUPS[made.markup]
    pairs = []
    for name in sorted(pages.keys() & sources.keys()):
        truth = joined(read(source.decode("utf-8", "replace")) for source in sources[name])
        if truth is not None:
            pairs.append(Pair(tuple(pages[name]), truth))
    return pairs


def _book(sources: Mapping[str, list[bytes]]) -> bytes:
    """The sources of a book in their order; what one takes in stands where it does so."""
    taken: set[str] = set()

    def take(found: re.Match[bytes]) -> bytes:
        name = found[1].decode().rpartition(".")[0]
        taken.add(name)
        return b"\n".join(sources.get(name, []))

    books = [
        (name, re.sub(rb"(?m)^@include (\S+)$", take, b"\n".join(each)))
        for name, each in sources.items()
    ]
    return b"\n".join(book for name, book in books if name not in taken)


def _members(asked: Members, data: Path) -> dict[str, list[bytes]]:
    """The wanted members of packages by what their globs' first `*` stands for."""
    ((name, given),) = asked.items()
    connector = find_connector(name)
    include = [f"*{glob}" for glob in given["include"]]
    params: Any = connector.Params.model_validate({**given, "include": include})
    kind = [name, "source"] if given.get("source") else [name]
    packages = [f"{package}-{params.of(package).version}" for package in given["packages"]]
    folder = data / "-".join([*kind, *packages]).replace("/", "+")
    folder.mkdir(exist_ok=True)
    kept = folder / "pin.json"
    if kept.exists():
        said = json.loads(kept.read_text("utf-8"))
        pin, files = Pin.from_json(said["pin"]), said["files"]
    else:
        pin = connector.resolve(params)
        files = dict(connector.fetch(params, pin, folder))
        kept.write_text(json.dumps({"pin": pin.to_json(), "files": files}), "utf-8")
    globs = [_named(glob) for glob in given["include"]]
    members: dict[str, list[bytes]] = defaultdict(list)
    ranks: dict[str, int] = {}
    for split in connector.splits(params, pin, files):
        for batch in connector.read(params, split, files, Limits()):
            if isinstance(batch, Fault):
                continue
            columns = (batch[NATIVE_ID.name].to_pylist(), batch[CONTENT.name].to_pylist())
            for native_id, content in zip(*columns, strict=True):
                path = native_id.partition("/")[2]
                ways = ((rank, glob.fullmatch(path)) for rank, glob in enumerate(globs))
                rank, found = next((way for way in ways if way[1]), (len(globs), None))
                page = (found[1] if found and found.re.groups else path).replace("/", ".")
                members[page].append(content)
                ranks[page] = rank
    return {page: members[page] for page in sorted(members, key=lambda page: (ranks[page], page))}


def _named(glob: str) -> re.Pattern[str]:
    """A glob as an expression whose group is what its first `*` stands for."""
    pattern = re.escape(glob).replace(r"\*", "(.*)", 1).replace(r"\*", ".*")
    return re.compile(rf"(?:.*/)?{pattern}", re.DOTALL)


def _joined(pairs: Sequence[Pair], read: Callable[[Sequence[bytes]], Sequence[str]]) -> list[str]:
    """The text of each pair's pages."""
    texts = iter(read([page for pair in pairs for page in pair.pages]))
    return ["\n\n".join(next(texts) for _ in pair.pages) for pair in pairs]


def _read(pages: Sequence[bytes]) -> list[str]:
    """What the op `html` reads."""
    batch = pa.RecordBatch.from_arrays(
        [pa.array(pages, CONTENT.type), pa.array(["text/html"] * len(pages), MEDIA_TYPE.type)],
        names=[CONTENT.name, MEDIA_TYPE.name],
    )
    return [text or "" for text in html(batch).arrays[0].to_pylist()]


def _peer_read(python: str, pages: Sequence[bytes]) -> list[str]:
    """What trafilatura reads of the same pages, decoded for it. Raises StageError if it fails."""
    with tempfile.TemporaryDirectory(prefix="phloem-") as name:
        given, out = Path(name) / "pages.json", Path(name) / "texts.json"
        given.write_text(json.dumps([decode_page(page, "text/html") for page in pages]), "utf-8")
        command = [python, str(PEERS / f"{TOOL}_text.py"), str(given), str(out)]
        cpu_of(TOOL, command, Path(name), {})
        texts: list[str] = json.loads(out.read_text("utf-8"))
    return texts


def faithful(truths: Sequence[Truth], texts: Sequence[str]) -> dict[str, Json]:
    """How much of what sources say texts hold."""
    blocks = kept = digits = found = 0
    scores = []
    for truth, text in zip(truths, texts, strict=True):
        code = [block for block in truth.code if block.strip()]
        blocks += len(code)
        kept += sum(block in text for block in code)
        wanted, there = Counter(re.findall(r"\d+", truth.text)), Counter(re.findall(r"\d+", text))
        digits += wanted.total()
        found += (wanted & there).total()
        scores.append(word_f1(truth.text, text))
    return {
        "blocks": blocks,
        "code kept": kept,
        "digits": round(found / digits, 3) if digits else None,
        "F1 mean": round(sum(scores) / len(scores), 3),
        "F1 least": round(min(scores), 3),
    }


def word_f1(one: str, other: str) -> float:
    """The harmonic mean of two texts' shares of common words, each as often as it stands there."""
    left, right = Counter(re.findall(r"\w+", one)), Counter(re.findall(r"\w+", other))
    return 2 * (left & right).total() / max(1, left.total() + right.total())
