"""What to make: sources, ops in order, keep rules, dedup, scrub, tokenizer, mix and policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pyarrow as pa
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from phloem.catalog.columns import INGESTED, PII_KINDS, TEXT_BYTES
from phloem.catalog.errors import UseError
from phloem.catalog.manifest import digest_of
from phloem.catalog.nearest import nearest
from phloem.catalog.policy import policies
from phloem.catalog.rules import Rule
from phloem.filters.op import EXTRACTOR, Op, OpError, find_op
from phloem.filters.pii import placeholders
from phloem.pipeline.op_spec import OpSpecs
from phloem.pipeline.rule_set import WrittenRule, expanded
from phloem.pipeline.workspace import Workspace
from phloem.pipeline.written import read_written, told
from phloem.sources.limits import Limits

Json = Any

RECIPES = Path(__file__).parent / "recipes"
MAX_RULES = 64  # failed_rules is a 64-bit map


class RecipeError(UseError):
    """A recipe that cannot be run: the message lists every fault."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Dedup(_Strict):
    """How near duplicates are found and verified.

    `bands` x `rows` hashes of each signature give candidates: with 28 x 4 a pair of Jaccard 0.7
    meets in some band with probability 0.9995. FineWeb's 14 x 8 (arXiv 2406.17557, section 3.4)
    would find 0.56 of them, but there nothing else keeps documents apart. Here each removal is
    verified: a document is dropped only if its exact Jaccard similarity with a kept one is at least
    `jaccard`. `docs/dedup.md` has what other numbers find and cost.

    `verify` says how a removal is verified: by the texts (`exact`), by the estimate of their
    signatures (`signature`), or not at all beyond a shared band (`none`).

    Of duplicates the one stays that has the clearest licence, then that of the source named first
    in the recipe, then the largest value of the column `prefer`, if one is named, then the longest
    text, then the least hash of the text.
    """

    bands: int = Field(default=28, ge=1, le=512)
    rows: int = Field(default=4, ge=1, le=512)
    jaccard: float = Field(default=0.7, gt=0, le=1)
    verify: Literal["exact", "signature", "none"] = "exact"
    prefer: str | None = None


class Train(_Strict):
    """A byte-level BPE tokenizer trained on a sample of the kept text."""

    vocab_size: int = Field(ge=512, le=2**20)
    sample_bytes: int = Field(default=50_000_000, ge=1)


class Tokenizer(_Strict):
    """Either a tokenizer to train, or a `tokenizer.json` named by path and sha256.

    `end` names the token that ends each document; null: the `eos_token` of the
    `tokenizer_config.json` beside the file, else its one special token that spells such an end. A
    tokenizer that is trained here ends documents with <|endoftext|>.
    """

    train: Train | None = None
    file: str | None = None
    sha256: str | None = None
    end: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.train is None) == (self.file is None) or (self.file is None) != (
            self.sha256 is None
        ):
            msg = "tokenizer takes either train: {vocab_size: …}, or file and sha256 together"
            raise ValueError(msg)
        if self.train and self.end:
            msg = "end is of a tokenizer that is given; one that is trained ends with <|endoftext|>"
            raise ValueError(msg)
        return self


class Recipe(_Strict):
    """A whole run as data.

    `use` names rule sets (`rule_sets/`), whose rules come first; `without` leaves some of them out,
    and `keep` adds rules, or stands in the place of a set's rule of the same name
    (`gopher.too_short`). Once it is loaded, `keep` holds all of them, and so do digest and keys: a
    set is no more than what it says.

    `on_unavailable` says what becomes of a source that is not to be had on the day: `stop` the run,
    or `skip` the source, which the release then names as left out. A source whose bytes are other
    than locked stops the run either way.

    Example:
        >>> import phloem
        >>> recipe = phloem.Recipe.model_validate(
        ...     {
        ...         "name": "letters",
        ...         "summary": "Our letters, cleaned and measured.",
        ...         "policy": "quickstart",
        ...         "ops": ["nfc", "whitespace", "language", "statistics"],
        ...         "keep": [{"name": "too_short", "column": "word_count", "min": 50}],
        ...         "tokenizer": {"train": {"vocab_size": 4096}},
        ...     }
        ... )
        >>> recipe.keep[0].column, recipe.dedup
        ('word_count', None)
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    summary: str
    policy: str
    sources: tuple[str, ...] = ()
    on_unavailable: Literal["stop", "skip"] = "stop"
    ops: OpSpecs
    use: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    keep: tuple[WrittenRule, ...] = ()
    dedup: Dedup | None = None
    scrub: Annotated[Mapping[str, str], BeforeValidator(placeholders)] = {}
    tokenizer: Tokenizer
    mix: Mapping[str, float] = {}
    limits: Limits = Limits()

    @property
    def digest(self) -> str:
        """The hash of what it says, rules written out: not of the names of their sets."""
        return digest_of(self.model_dump(mode="json", exclude={"use", "without"}))

    def bound_ops(self, workspace: Workspace) -> list[Op]:
        """Its ops, bound to their parameters, in order."""
        return [find_op(spec.name, spec.params, workspace.ops) for spec in self.ops]


def recipe_files(workspace: Workspace) -> dict[str, Path]:
    """Every recipe by name: the project's own, and the workspace's, which win."""
    folders = (RECIPES, *workspace.recipes)
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def load_recipe(asked: str, workspace: Workspace, known_sources: Sequence[str]) -> Recipe:
    """A recipe by name or path, checked against the ops, columns, sources and policies there are.

    Raises RecipeError listing every fault.
    """
    files = recipe_files(workspace)
    path = files.get(asked, Path(asked))
    if not path.is_file():
        raise RecipeError(f"no recipe named {asked!r}; {nearest(asked, files)}")
    try:
        recipe = Recipe.model_validate(read_written(path))
    except ValidationError as error:
        raise RecipeError(_told(path.name, error)) from None
    except ValueError as error:
        raise RecipeError(f"{path.name}: {error}") from None
    recipe, faults = _checked(recipe, workspace, known_sources)
    if recipe.name != path.stem:
        faults.insert(0, f"name is {recipe.name!r}, but the file is {path.name}; make them one")
    if faults:
        raise RecipeError(f"{path.name}: " + "; ".join(faults))
    return recipe


def checked_recipe(recipe: Recipe, workspace: Workspace, known_sources: Sequence[str]) -> Recipe:
    """A recipe that was made in Python, checked as one out of a file is.

    Of a copy with other values (`model_copy`) nothing has been looked at yet.

    Raises RecipeError listing every fault.
    """
    try:
        found = Recipe.model_validate(dict(recipe))
    except ValidationError as error:
        raise RecipeError(_told(f"the recipe {recipe.name}", error)) from None
    found, faults = _checked(found, workspace, known_sources)
    if faults:
        raise RecipeError(f"the recipe {found.name}: " + "; ".join(faults))
    return found


def _told(name: str, error: ValidationError) -> str:
    known = [*Recipe.model_fields, *Rule.model_fields, *Limits.model_fields]
    return f"{name}: " + "; ".join(told(error, known))


def check_recipe(recipe: Recipe, workspace: Workspace, known_sources: Sequence[str]) -> list[str]:
    """All that keeps a recipe from being run, in words."""
    return _checked(recipe, workspace, known_sources)[1]


def _checked(
    recipe: Recipe, workspace: Workspace, known_sources: Sequence[str]
) -> tuple[Recipe, list[str]]:
    """A recipe with the rules of its sets written out, and all that keeps it from being run."""
    faults = [
        f"no source named {source!r}; {nearest(source, known_sources)}"
        for source in recipe.sources
        if source not in known_sources
    ]
    known_policies = policies(workspace.policies)
    if recipe.policy not in known_policies:
        faults.append(
            f"no policy named {recipe.policy!r}; {nearest(recipe.policy, known_policies)}"
        )
    op_faults, found = _check_ops(recipe, workspace)
    rules = expanded(recipe.use, recipe.without, recipe.keep, workspace)
    lacking = [fault for each in rules.sets for fault in each.lacks(found)]
    faults += [*op_faults, *rules.faults, *lacking]
    recipe = recipe.model_copy(update={"keep": rules.rules})
    if not (op_faults or lacking):  # what an op would write is no fault of the rules
        faults += check_rules(recipe.keep, found)
    if not op_faults:
        faults += _check_ends(recipe, found)
    return recipe, faults


def columns_of(found: Sequence[Op]) -> dict[str, pa.DataType]:
    """The columns that a rule may look at, and their types: what ops write, and the text's size."""
    columns = [TEXT_BYTES, *(column for op in found for column in op.measures)]
    return {column.name: column.type for column in columns}


def _check_ops(recipe: Recipe, workspace: Workspace) -> tuple[list[str], list[Op]]:
    faults: list[str] = []
    found: list[Op] = []
    made = {column.name for column in INGESTED} | {"declared_languages"}
    for spec in recipe.ops:
        try:
            op = find_op(spec.name, spec.params, workspace.ops)
        except OpError as error:
            faults.append(str(error))
            continue
        if op.kind == EXTRACTOR:
            faults.append(f"{op.name} is an extractor: ingest runs it by media type, leave it out")
        lacking = [column.name for column in op.reads if column.name not in made]
        if lacking:
            faults.append(f"{op.name} reads {lacking}, which no op before it writes")
        again = sorted({c.name for c in op.writes} & made - {"text"})
        if again:
            faults.append(f"{op.name} writes {again}, which is there already")
        made |= {column.name for column in op.writes}
        found.append(op)
    counting = [op.name for op in found if op.counts]
    if len(counting) > 1:
        faults.append(f"{', '.join(counting)} count the texts of a source; keep one of them")
    return faults, found


def check_rules(rules: Sequence[Rule], found: Sequence[Op]) -> list[str]:
    """All that is wrong with rules that are to judge what these ops write.

    Also for a card's own rules, together with the recipe's.
    """
    types = columns_of(found)
    faults = []
    for rule in rules:
        kind = types.get(rule.column)
        if kind is None:
            near = nearest(rule.column, types)
            faults.append(
                f"rule {rule.name} looks at {rule.column!r}, which no op of this recipe writes;"
                f" {near}"
            )
        faults += [
            f"rule {rule.name} judges by {column!r}, which no op of this recipe writes;"
            f" {nearest(column, types)}"
            if column not in types
            else f"rule {rule.name} judges by words, but {column} holds {types[column]}"
            for column in rule.looks_at
            if column not in types or not pa.types.is_string(types[column])
        ]
        if kind is None:
            continue
        if rule.among is not None and not pa.types.is_string(kind):
            faults.append(f"rule {rule.name} asks for words, but {rule.column} holds {kind}")
        elif rule.among is None and not _is_number(kind):
            faults.append(f"rule {rule.name} asks for numbers, but {rule.column} holds {kind}")
    times = Counter(rule.name for rule in rules)
    faults += [f"two rules are named {name}" for name in sorted(times) if times[name] > 1]
    if len(rules) > MAX_RULES:
        faults.append(f"{len(rules)} rules; at most {MAX_RULES}: name fewer sets, or use without")
    return faults


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _check_ends(recipe: Recipe, found: Sequence[Op]) -> list[str]:
    faults = []
    by_name = {op.name: op for op in found}
    if recipe.dedup:
        if "minhash" not in by_name:
            faults.append("dedup needs the op minhash, which the recipe does not run")
        else:
            op = by_name["minhash"]
            permutations = {**op.defaults, **op.params}["permutations"]
            need = recipe.dedup.bands * recipe.dedup.rows
            if need > permutations:
                faults.append(
                    f"dedup asks for {need} hashes (bands x rows), minhash makes {permutations}"
                )
    if recipe.dedup and recipe.dedup.prefer is not None:
        types = {column.name: column.type for op in found for column in op.measures}
        prefer = recipe.dedup.prefer
        if prefer not in types:
            faults.append(
                f"dedup prefers by {prefer!r}, which no op of this recipe writes;"
                f" {nearest(prefer, types)}"
            )
        elif not _is_number(types[prefer]):
            faults.append(f"dedup prefers by {prefer}, which holds {types[prefer]} and no numbers")
    faults += [
        f"scrub names {kind!r}, which is no kind of personal data; {nearest(kind, PII_KINDS)}"
        for kind in recipe.scrub
        if kind not in PII_KINDS
    ]
    if recipe.scrub and "pii" not in by_name:
        faults.append("scrub needs the op pii, which the recipe does not run")
    if "language" not in by_name:
        faults.append("the op language is missing: rules, dedup and reports need it")
    faults += [
        f"mix names {source!r}, which is not among the sources"
        for source in recipe.mix
        if source not in recipe.sources
    ]
    return faults
