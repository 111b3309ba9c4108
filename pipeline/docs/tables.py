"""The tables of the package pages as Markdown, each read from the code that it describes."""

from __future__ import annotations

import importlib
import inspect
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args, get_origin

import yaml
from pydantic import BaseModel

from phloem.catalog import columns, ledger
from phloem.catalog.columns import Column
from phloem.catalog.handoff.formats import FORMATS
from phloem.catalog.policy import Policy, load_policy, policies
from phloem.catalog.view_columns import schema_rows
from phloem.filters.op import Op, ops
from phloem.pipeline.recipe import RECIPES
from phloem.pipeline.registry.page import entries
from phloem.pipeline.registry.registry import load_registry
from phloem.pipeline.registry.stats import TEXT_COLUMNS, stats, text_rows
from phloem.pipeline.rule_set import RuleSet, load_rule_set, rule_set_files
from phloem.pipeline.stages import STAGES
from phloem.pipeline.workspace import Workspace
from phloem.reports.registry import (
    PARTS,
    headline,
    natural_coverage,
    programming_coverage,
    text_headline,
)
from phloem.reports.sections import sections
from phloem.sources.cards.lint import catalogue
from phloem.sources.cards.lock import locked
from phloem.sources.cards.source import Approval, Source, sources
from phloem.sources.connector import connectors
from phloem.sources.limits import Limits

Maker = Callable[[], str]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; bars and line breaks in cells are made harmless."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _code(names: Iterable[object]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def first_sentence(thing: object) -> str:
    """The first paragraph of a docstring, as one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def shared_columns() -> list[Column]:
    """The columns that more than one package uses, in the order of their module."""
    return [value for value in vars(columns).values() if isinstance(value, Column)]


def columns_table(found: Iterable[Column]) -> str:
    """Name, Arrow type and meaning of columns."""
    return table(
        ["column", "type", "meaning"], [(f"`{c.name}`", f"`{c.type}`", c.doc) for c in found]
    )


def ops_table() -> str:
    """Every op with what it reads, writes and takes."""
    return table(
        ["op", "kind", "does", "reads", "writes", "parameters"],
        [_op_row(op) for op in ops().values()],
    )


def _op_row(op: Op) -> list[str]:
    taken = [
        *(f"`{name}` (required)" for name in op.required),
        *(f"`{name}` (`{value}`)" for name, value in op.defaults.items()),
    ]
    return [
        f"`{op.name}`",
        op.kind,
        first_sentence(op.function),
        _code(column.name for column in op.reads),
        _code(column.name for column in op.writes),
        ", ".join(taken),
    ]


def op_columns_table() -> str:
    """Every column that an op writes, once."""
    found = {column.name: column for op in ops().values() for column in op.writes}
    return columns_table(found[name] for name in sorted(found))


def stages_table() -> str:
    """The stages in the order of a run: what each does, for what, and what it writes."""
    rows = []
    for stage in STAGES:
        module = stage.run.__module__.removeprefix("phloem.").replace(".", "/")
        files = [f"`{kind.name}`: {', '.join(map(_plain, kind.files))}" for kind in stage.makes]
        cells = (f"`{stage.name}`", f"`{module}.py`", first_sentence(stage.run))
        rows.append((*cells, stage.tasks, stage.grows, "; ".join(files)))
    return table(["stage", "module", "a task", "tasks for", "grows with", "writes"], rows)


def _plain(pattern: str) -> str:
    """The pattern of a file's name as people write it."""
    return pattern.replace("\\d{5,}", "00000").replace("[A-Za-z_]\\w*", "OP").replace("\\", "")


def rule_sets_table() -> str:
    """Every rule set: what it is, where it was published, what must measure for it."""
    found = [load_rule_set(path) for _, path in sorted(rule_set_files(Workspace()).items())]
    return table(
        ["set", "is", "as published in", "needs", "rules"],
        [(f"`{own.name}`", own.summary, own.source, _needed(own), len(own.rules)) for own in found],
    )


def _needed(own: RuleSet) -> str:
    params = [(op.name, ", ".join(f"{k}: {v}" for k, v in op.params.items())) for op in own.ops]
    return ", ".join(f"`{name}`" + (f" (`{told}`)" if told else "") for name, told in params)


def recipes_table() -> str:
    """The project's recipes."""
    rows = []
    for path in sorted(RECIPES.glob("*.yaml")):
        recipe = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        rows.append((f"`{recipe['name']}`", recipe["summary"], len(recipe.get("sources", ()))))
    return table(["recipe", "makes", "sources"], rows)


def connectors_table() -> str:
    """The connectors and their parameters."""
    rows = []
    for name in connectors():
        module = importlib.import_module(f"phloem.sources.connectors.{name}")
        taken = [
            f"`{key}`{'' if field.is_required() else ' (optional)'}: {field.description or ''}"
            for key, field in module.Params.model_fields.items()
        ]
        libraries = _code(module.LIBRARIES) or "Python's own"
        rows.append((f"`{name}`", first_sentence(module), libraries, "; ".join(taken)))
    return table(["connector", "reads", "libraries", "parameters"], rows)


def sections_table() -> str:
    """The sections of a run's report."""
    return table(
        ["section", "answers"],
        [(f"{part.title} (`{part.name}`)", part.question) for part in sections()],
    )


def fields_table(model: type[BaseModel]) -> str:
    """Every field of a model and of the models inside it: whether it must be given, and meaning."""
    return table(["field", "", "meaning"], list(_fields(model, "")))


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _fields(inner, f"{prefix}{name}.")
            continue
        given = "required" if field.is_required() else f"default `{field.default}`"
        among = [value for part in (inner, *get_args(inner)) for value in _choices(part)]
        words = f"{field.description or ''} {'One of ' + _code(among) + '.' if among else ''}"
        yield f"`{prefix}{name}`", given, words
        for part in get_args(inner):  # optional, or several of them
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from _fields(part, f"{prefix}{name}.")


def _choices(annotation: object) -> tuple[object, ...]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def limits_table() -> str:
    """Every limit that a recipe may set, its default, and what happens beyond."""
    rows = [
        (f"`{name}`", amount(name, field.default), field.description or "")
        for name, field in Limits.model_fields.items()
    ]
    return table(["limit", "default", "meaning"], rows)


def amount(name: str, value: int) -> str:
    """A limit's value for a reader: whole GiB or MiB of bytes, else the number."""
    units = {"GiB": 2**30, "MiB": 2**20} if name.endswith("_bytes") else {}
    whole = (f"{value // size} {unit}" for unit, size in units.items() if value % size == 0)
    return next(whole, f"{value:,}")


def lint_table() -> str:
    """The rules that source cards are held to."""
    return table(["rule", "kind", "rejects", "because", "mend"], catalogue())


def registry_size() -> str:
    """How much text there is, and how many sources, as it is said everywhere."""
    found = entries(load_registry(Workspace()), locked())
    natural = [each for each in natural_coverage(found) if each.active > 1]
    code = [each for each in programming_coverage(found) if each.active]
    return (
        f"{text_headline(found)}.\n\nThe registry holds {headline(found)}. Of BLOOM’s 46 languages"
        f" {len(natural)} have two active sources or more, of its 13 programming languages"
        f" {len(code)} have one or more."
    )


def text_table() -> str:
    """Text and cards of each of BLOOM's languages, least prose first."""
    rows = text_rows(stats(load_registry(Workspace()), locked()))
    return table(TEXT_COLUMNS, [list(row.values()) for row in rows])


def kinds_table() -> str:
    """How many sources there are of each kind."""
    found = entries(load_registry(Workspace()), locked())
    counts = {part: Counter(e.card["kind"] for e in found if e.part == part) for part in PARTS}
    kinds = sorted({entry.card["kind"] for entry in found})
    rows = [(f"`{kind}`", *(counts[part][kind] for part in PARTS)) for kind in kinds]
    return table(["kind", *PARTS.values()], rows)


def sources_table() -> str:
    """The project's own sources."""
    rows = [
        (f"`{card.id}`", card.name, _code(card.languages), card.license.spdx, card.status)
        for card in sources().values()
    ]
    return table(["source", "name", "languages", "licence", "status"], rows)


def policies_table() -> str:
    """The project's policies, and what each asks for."""
    found = [load_policy(name) for name in sorted(policies())]
    return table(["policy", "is for"], [(f"`{policy.name}`", policy.summary) for policy in found])


def formats_table() -> str:
    """What the tokens of a release can be exported as."""
    rows = []
    for name in FORMATS:
        module = importlib.import_module(f"phloem.catalog.handoff.formats.{name}")
        files = (f"SOURCE-00000{suffix}" for suffix in module.SUFFIXES)
        rows.append((f"`{name}`", _code(files), first_sentence(module)))
    return table(["format", "of each token shard", "what it is"], rows)


def views_table() -> str:
    """Every column of every view of the catalog."""
    rows = [(f"`{view}`", f"`{name}`", f"`{kind}`", doc) for view, name, kind, doc in schema_rows()]
    return table(["view", "column", "type", "meaning"], rows)


def requests_table() -> str:
    """What an object store was asked, as `tests/pipeline/test_requests.py` counted it there."""
    page = Path(__file__).resolve().parents[2] / "docs" / "requests.json"
    found = json.loads(page.read_text(encoding="utf-8"))
    methods = ("PUT", "GET", "HEAD", "LIST")
    rows = [
        (what, *(f"{own.get(m, 0):,}" for m in methods), f"{sum(own.values()):,}")
        for what, own in found["rows"].items()
    ]
    tasks = f"{found['tasks']:,} tasks in {found['stages']} stages"
    return table([tasks, *methods, "in all"], rows)


TABLES: Mapping[str, Maker] = MappingProxyType(
    {
        "columns": lambda: columns_table(shared_columns()),
        "ledger": lambda: columns_table(ledger.LEDGER),
        "quarantine": lambda: columns_table(ledger.QUARANTINE),
        "ops": ops_table,
        "op-columns": op_columns_table,
        "stages": stages_table,
        "recipes": recipes_table,
        "rule-sets": rule_sets_table,
        "connectors": connectors_table,
        "reports": sections_table,
        "card": lambda: fields_table(Source),
        "approval": lambda: fields_table(Approval),
        "limits": limits_table,
        "lint": lint_table,
        "kinds": kinds_table,
        "text": text_table,
        "sources": sources_table,
        "policy": lambda: fields_table(Policy),
        "policies": policies_table,
        "formats": formats_table,
        "requests": requests_table,
        "views": views_table,
    }
)
