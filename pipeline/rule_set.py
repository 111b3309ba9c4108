"""Sets of keep rules by name, as they were published: one YAML file a set, in `rule_sets/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from phloem.catalog.errors import UseError
from phloem.catalog.nearest import nearest
from phloem.catalog.rules import DEFAULT, Rule
from phloem.filters.language_files import Side, bounds, derived_bounds
from phloem.filters.op import Op, OpError, ops
from phloem.pipeline.op_spec import OpSpec, OpSpecs
from phloem.pipeline.workspace import Workspace
from phloem.pipeline.written import read_written, told

Json = Any

RULE_SETS = Path(__file__).parent / "rule_sets"
DERIVED = "derived"
"""A bound so written is, in each language, the one that was derived from its reference text."""

_CHANGED = "this recipe, in place of the set's"


class RuleSetError(UseError):
    """A rule set that cannot be used: the message lists every fault."""


def with_derived(value: Json) -> Json:
    """A rule as it is written, with its bounds `derived` as numbers by language, and whence.

    Raises LanguageFileError, a ValueError, for a column of which nothing was derived.
    """
    if not isinstance(value, dict):
        return value
    found, sources = dict(value), dict(_by_language(value.get("source")))
    sides: tuple[Side, ...] = ("min", "max")
    for side in sides:
        if found.get(side) == DERIVED:
            found[side] = derived_bounds(str(value.get("column")), side)
            sources |= {tag: _derivation(tag) for tag in found[side]}
    return {**found, "source": sources} if set(sources) - {DEFAULT} else found


def _derivation(tag: str) -> str:
    """What the bounds of a language or script were derived from, in words."""
    own = bounds()[tag].derived
    return (
        f"derived for {tag} from {own.documents} documents of {', '.join(own.texts)}"
        f" ({own.date}): {own.method}"
    )


def _by_language(source: Json) -> Mapping[str, str]:
    return source if isinstance(source, dict) else {DEFAULT: source} if source else {}


def _with_default(source: str | Mapping[str, str] | None, default: str) -> str | Mapping[str, str]:
    """A rule's source, where it says none that of its set."""
    return {DEFAULT: default, **source} if isinstance(source, Mapping) else source or default


WrittenRule = Annotated[Rule, BeforeValidator(with_derived)]
"""A rule in a file: as `Rule`, where `derived` may stand for a bound."""


class RuleSet(BaseModel):
    """Keep rules that were published together.

    Attributes:
        name: Of the set and of its file; `use` names it, and each of its rules begins with it.
        summary: What it is, and for which text it was made.
        source: Where it was published: paper and section, or configuration.
        ops: What must measure for it, with the parameters without which it means something else.
        rules: In their order. A rule without a source of its own has the set's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    summary: str = Field(min_length=1)
    source: str = Field(min_length=1)
    ops: OpSpecs = ()
    rules: tuple[WrittenRule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rules_by_name(self) -> Self:
        names = [rule.name for rule in self.rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            said = "two rules are named {names}"
            raise PydanticCustomError("rule_twice", said, {"names": ", ".join(twice)})
        return self

    @property
    def named_rules(self) -> tuple[Rule, ...]:
        """Its rules as the ledger knows them: `gopher.too_short`, each with its source."""
        return tuple(
            rule.model_copy(
                update={
                    "name": f"{self.name}.{rule.name}",
                    "source": _with_default(rule.source, self.source),
                }
            )
            for rule in self.rules
        )

    def lacks(self, found: Sequence[Op]) -> list[str]:
        """What it needs of ops that a recipe does not run, or runs with other parameters."""
        by_name = {op.name: {**op.defaults, **op.params} for op in found}
        faults = []
        for spec in self.ops:
            params = by_name.get(spec.name)
            if params is None:
                faults.append(f"the set {self.name} needs the op {spec.name}; put it into ops")
                continue
            other = {name: params.get(name) for name in spec.params}
            if other != dict(spec.params):
                faults.append(
                    f"the set {self.name} needs {spec.name} with {dict(spec.params)},"
                    f" the recipe has it with {other}"
                )
        return faults


def rule_set_files(workspace: Workspace) -> dict[str, Path]:
    """Every rule set by name: the project's own, and the workspace's, which win."""
    folders = (RULE_SETS, *workspace.rule_sets)
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def load_rule_set(path: Path) -> RuleSet:
    """Read a set's file. Raises RuleSetError listing every fault."""
    try:
        found = RuleSet.model_validate(read_written(path))
    except ValidationError as error:
        faults = told(error, [*RuleSet.model_fields, *Rule.model_fields])
        raise RuleSetError(f"rule set {path.name}: {'; '.join(faults)}") from None
    except ValueError as error:
        raise RuleSetError(f"rule set {path.name}: {error}") from None
    if found.name != path.stem:
        msg = f"rule set {path.name}: name is {found.name!r}; make name and file one"
        raise RuleSetError(msg)
    return found


@dataclass(frozen=True)
class Expanded:
    """What a recipe's rules are once its sets are written out.

    Attributes:
        rules: Those of the sets in the order of `use`, then the recipe's own.
        sets: The sets.
        faults: All that is wrong, in words.
    """

    rules: tuple[Rule, ...]
    sets: tuple[RuleSet, ...]
    faults: tuple[str, ...]


def expanded(
    use: Sequence[str], without: Sequence[str], keep: Sequence[Rule], workspace: Workspace
) -> Expanded:
    """The rules of the sets by name, less those left out, with what `keep` changes and adds.

    Expanding again what was expanded changes nothing.
    """
    sets, faults = _sets(use, workspace)
    of_sets = {rule.name: rule for each in sets for rule in each.named_rules}
    if not faults:  # with a set missing, each of its rules would be a fault of its own
        faults += [
            f"without names {name!r}, which no set in use holds; {nearest(name, of_sets)}"
            for name in without
            if name not in of_sets
        ]
        faults += [
            f"keep changes {rule.name!r}, which that set does not hold;"
            f" {nearest(rule.name, of_sets)}"
            for rule in keep
            if set_of(rule.name, use) and rule.name not in of_sets
        ]
    faults += [
        f"keep changes {rule.name!r}, and without leaves it out; keep one of them"
        for rule in keep
        if rule.name in without
    ]
    own = {rule.name: rule for rule in keep}
    rules = [_changed(rule, own.get(name)) for name, rule in of_sets.items() if name not in without]
    rules += [rule for rule in keep if rule.name not in of_sets]
    return Expanded(tuple(rules), tuple(sets), tuple(faults))


def set_of(rule: str, use: Sequence[str]) -> str | None:
    """The set in use that a rule's name begins with."""
    prefix, dot, _ = rule.partition(".")
    return prefix if dot and prefix in use else None


def _sets(use: Sequence[str], workspace: Workspace) -> tuple[list[RuleSet], list[str]]:
    files = rule_set_files(workspace)
    sets, faults = (
        [],
        [f"use names {name} twice" for name in sorted(set(use)) if use.count(name) > 1],
    )
    for name in dict.fromkeys(use):
        if name not in files:
            faults.append(f"no rule set named {name!r}; {nearest(name, files)}")
            continue
        try:
            found = load_rule_set(files[name])
        except RuleSetError as error:
            faults.append(str(error))
            continue
        unknown = [fault for spec in found.ops if (fault := _unknown(spec, workspace))]
        faults += [f"rule set {name}: {fault}" for fault in unknown]
        if not unknown:
            sets.append(found)
    return sets, faults


def _unknown(spec: OpSpec, workspace: Workspace) -> str | None:
    """Why there is no such op, or none with such parameters."""
    known = ops(workspace.ops)
    if spec.name not in known:
        return f"no op named {spec.name!r}; {nearest(spec.name, known)}"
    try:
        known[spec.name].bind(spec.params)  # what is required beside them is the recipe's to give
    except OpError as error:
        return str(error)
    return None


def _changed(rule: Rule, own: Rule | None) -> Rule:
    """A set's rule, or the recipe's in its place."""
    if own is None or own == rule:
        return rule
    return own if own.source else own.model_copy(update={"source": _CHANGED})
