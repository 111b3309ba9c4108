"""A small workspace of two sources, real text in many scripts; its root needs no network."""

import functools
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml
from inline_engine import inline
from rich.console import Console

from phloem.catalog.store import Store
from phloem.filters.op import models_folder, ops
from phloem.pipeline import run as running
from phloem.pipeline.engines.spark.engine import open_spark
from phloem.pipeline.engines.spark.options import Spark
from phloem.pipeline.recipe import Recipe, load_recipe
from phloem.pipeline.registry.registry import load_registry
from phloem.pipeline.request import Request
from phloem.pipeline.review.locking import lock
from phloem.pipeline.watch.progress import Progress
from phloem.pipeline.workspace import load_workspace
from phloem.sources.limits import Limits

RECIPE = """\
name: tiny
summary: A few documents through every stage.
policy: quickstart
sources: [first, second]
ops: [nfc, whitespace, language, statistics, minhash, pii]
keep:
  - {name: too_short, column: word_count, min: {default: 5, zh: 8}}
  - {name: language_unsure, column: language_score, min: 0.1}
dedup: {bands: 14, rows: 8, jaccard: 0.7}
scrub: {email: "<EMAIL>", ip: "<IP>", phone: "<PHONE>"}
tokenizer: {train: {vocab_size: 600}}
"""

CARD = """\
id: NAME
name: The NAME source
summary: A few sentences of the Universal Declaration of Human Rights, for trying things out.
homepage: https://example.org/NAME
kind: legal
languages: [en, ar, hi, th, zh]
license: {spdx: CC0-1.0}
access: {connector: files, params: {path: PATH, language_column: lang, id_column: id}}
custodian: nobody
personal_data: {level: none}
status: active
evidence: none
limits: It is tiny.
"""

ARTICLES = {
    "en": "All human beings are born free and equal in dignity and rights. They are endowed with"
    " reason and conscience and should act towards one another in a spirit of brotherhood."
    " Everyone is entitled to all the rights and freedoms set forth in this Declaration, without"
    " distinction of any kind, such as race, colour, sex, language, religion, political or other"
    " opinion, national or social origin, property, birth or other status.",
    "ar": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. وقد وهبوا عقلا وضميرا وعليهم أن"
    " يعامل بعضهم بعضا بروح الإخاء.",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।"
    " उन्हें बुद्धि और अन्तरात्मा की देन प्राप्त है और परस्पर उन्हें भाईचारे के भाव से बर्ताव करना चाहिए।",
    "th": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม"
    " และควรปฏิบัติต่อกันด้วยเจตนารมณ์แห่งภราดรภาพ",
    "zh": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
}
ADDRESS = "maria.silva@correio.pt"

Documents = list[dict[str, Any]]
NOTHING: Mapping[str, Any] = MappingProxyType({})

FIRST: Documents = [
    *({"id": tag, "text": text, "lang": tag} for tag, text in ARTICLES.items()),
    {"id": "short", "text": "Too short 👋🏽", "lang": "en"},
    {
        "id": "mail",
        "text": f"Please write to {ADDRESS} about the meeting.",
        "lang": "en",
    },
    {"id": "empty", "text": "", "lang": "en"},
]
SECOND: Documents = [
    {"id": "near", "text": ARTICLES["en"].replace("any kind", "any kind whatever"), "lang": "en"},
    {"id": "same", "text": ARTICLES["hi"], "lang": "hi"},
    {
        "id": "own",
        "text": "The quick brown fox jumps over the lazy dog.",
        "lang": "en",
    },
]


def write_jsonl(path: Path, rows: Documents, broken: str = "") -> Path:
    """One JSON object a line, and a line that is none."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows] + [broken] * bool(broken)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def add_source(folder: Path, name: str, rows: Documents, broken: str = "") -> None:
    """Write a source's documents and card, and lock it."""
    write_source(folder, name, rows, broken)
    list(lock(load_workspace(folder), [name]))


def write_source(
    folder: Path, name: str, rows: Documents, broken: str = "", card: Mapping[str, Any] = NOTHING
) -> None:
    """Write a source's documents, and its card with what that says of its own."""
    path = write_jsonl(folder / f"{name}.jsonl", rows, broken)
    said = yaml.safe_load(CARD.replace("NAME", name).replace("PATH", str(path))) | card
    text = yaml.safe_dump(said, allow_unicode=True, sort_keys=False)
    (folder / "cards" / f"{name}.yaml").write_text(text, encoding="utf-8")


def make_workspace(folder: Path) -> Path:
    """A workspace with one recipe and two sources."""
    for name in ("recipes", "cards"):
        (folder / name).mkdir(parents=True)
    (folder / "recipes" / "tiny.yaml").write_text(RECIPE, encoding="utf-8")
    (folder / "phloem.toml").write_text(
        'recipes = ["recipes"]\nsources = ["cards"]\n', encoding="utf-8"
    )
    add_source(folder, "first", FIRST, broken="{not json")
    add_source(folder, "second", SECOND)
    return folder


def new_root(folder: Path) -> Path:
    """A root that holds the model files already."""
    models = models_folder()
    if not models.is_dir():
        pytest.fail(f"no model files in {models}; `make test` puts them there")
    fetched = folder / "fetched"
    fetched.mkdir(parents=True)
    for file in {file for op in ops().values() for file in op.files}:
        shutil.copy(models / file.sha256, fetched / file.sha256)
    return folder


def recipe_of(folder: Path) -> Recipe:
    """The workspace's recipe."""
    workspace = load_workspace(folder)
    return load_recipe("tiny", workspace, sorted(load_registry(workspace).cards))


def change_recipe(folder: Path, old: str, new: str) -> None:
    """Change a line of the workspace's recipe."""
    path = folder / "recipes" / "tiny.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


# Where runs of this workspace do their tasks, if not in processes of this machine: tests/faults has
# all its tests run on a cluster in the nightly run.
on_spark: Spark | None = None


def run_tiny(folder: Path, root: Path | str, workers: int = 0) -> dict[str, Any]:
    """Run the workspace's recipe; the run's record.

    Args:
        folder: The workspace.
        root: Where it writes.
        workers: Processes that do the tasks through Beam; 0: this process, without it.
    """
    workspace = load_workspace(folder)
    registry = load_registry(workspace)
    runner, opened = "local", None
    if on_spark:
        spark = replace(on_spark, cores=workers or 1)
        runner, opened = "spark", functools.partial(open_spark, str(root), spark, Limits())
    elif not workers:
        opened = functools.partial(inline, str(root), 1, Limits())
    request = Request(recipe_of(folder), str(root), workers or 1, runner=runner)
    result = running.run(request, registry, workspace, Progress(Console(quiet=True)), opened)
    if result.refusal:
        raise result.refusal
    record: dict[str, Any] = json.loads(Store(str(root)).read_bytes(f"runs/{result.run_id}.json"))
    return record


def digests(root: Path | str, record: dict[str, Any]) -> dict[str, str]:
    """The digest of every dataset of a run."""
    store = Store(str(root))
    return {
        stage: json.loads(store.read_bytes(name))["digest"]
        for stage, name in record["datasets"].items()
    }


def redone(record: dict[str, Any]) -> dict[str, int]:
    """How many tasks of each stage were done, of those that did any."""
    counts = {each["stage"]: each["tasks"] - each["cached"] for each in record["stages"]}
    return {stage: count for stage, count in counts.items() if count}
