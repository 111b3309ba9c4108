"""Rule sets: written out they are rules like any other; faults are told all at once."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from tiny_workspace import add_source, change_recipe, make_workspace, new_root, run_tiny

from phloem.catalog.columns import TEXT, Column
from phloem.catalog.manifest import Ref
from phloem.catalog.rules import Rule, source_of
from phloem.catalog.store import Store
from phloem.catalog.story import explain
from phloem.catalog.views import connect
from phloem.filters.language_files import Bounds, Derivation
from phloem.filters.op import find_op, op, ops
from phloem.pipeline import rule_set as module
from phloem.pipeline.recipe import Recipe, RecipeError, checked_recipe, columns_of, load_recipe
from phloem.pipeline.registry.registry import load_registry
from phloem.pipeline.rule_set import (
    RuleSet,
    RuleSetError,
    expanded,
    load_rule_set,
    rule_set_files,
    with_derived,
)
from phloem.pipeline.stages import measure
from phloem.pipeline.stages.measure import chain, keyed
from phloem.pipeline.workspace import Workspace
from phloem.reports.explain import render_story

NO_WORKSPACE = Workspace()
SETS = {name: load_rule_set(path) for name, path in rule_set_files(NO_WORKSPACE).items()}

RECIPE = """\
name: mine
summary: Mine.
policy: quickstart
sources: [udhr]
ops: [nfc, language, statistics, repetition]
use: [gopher, fineweb]
keep: [{name: too_small, column: text_bytes, min: 10}]
tokenizer: {train: {vocab_size: 600}}
"""

OWN_SET = """\
name: ours
summary: Ours.
source: A page of ours, 2026
ops: [statistics]
rules:
  - {name: too_short, column: word_count, min: {en: 4, hi: 6}}
  - {name: too_long, column: word_count, max: 1000, source: another page}
"""


def _load(folder: Path, text: str, workspace: Workspace = NO_WORKSPACE) -> Recipe:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(str(path), workspace, ["udhr"])


def _own_sets(folder: Path, **texts: str) -> Workspace:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return Workspace(rule_sets=(folder,))


# The project's own sets ---------------------------------------------------------------------------
@pytest.mark.parametrize("own", SETS.values(), ids=SETS)
def test_rule_set_asks_only_for_what_its_ops_measure(own: RuleSet) -> None:
    found = [find_op(spec.name, spec.params) for spec in own.ops]
    types = columns_of(found)
    assert [rule.name for rule in own.rules if rule.column not in types] == []
    assert own.lacks(found) == []


@pytest.mark.parametrize("own", SETS.values(), ids=SETS)
def test_rule_set_bounds_of_fractions_can_drop_something(own: RuleSet) -> None:
    off = [
        (rule.name, tag, bound)
        for rule in own.rules
        if rule.column.endswith("_frac")
        for side in (rule.min, rule.max)
        if isinstance(side, dict)
        for tag, bound in side.items()
        if not 0 <= bound <= 1
    ]
    assert off == []


def test_rule_sets_of_english_judge_no_other_language() -> None:
    for name in ("gopher", "c4", "c4-fineweb", "fineweb"):
        tags = [set(rule.min or rule.max or ()) for rule in SETS[name].rules]  # type: ignore[arg-type]
        assert tags == [{"en"}] * len(tags), name


@pytest.mark.parametrize(
    ("rule", "tag", "bound"),
    [
        ("lines_repeat", "fr", 0.264),
        ("top_2gram", "yo", 0.516),
        ("words_too_long", "te", 68),
        ("too_few_letters", "hi", 0.837),
        ("lines_unfinished", "zh", 0.106),
        ("10grams_repeat", "fr", 0.1),
        ("too_many_newlines", "de", 0.152),
    ],
)
def test_fineweb2_has_the_published_bounds(rule: str, tag: str, bound: float) -> None:
    (own,) = [each for each in SETS["fineweb2"].rules if each.name == rule]
    assert (own.min or own.max)[tag] == bound  # type: ignore[index]


# Written out --------------------------------------------------------------------------------------
def test_use_puts_the_rules_of_sets_before_the_recipes(tmp_path: Path) -> None:
    found = [rule.name for rule in _load(tmp_path, RECIPE).keep]
    sets = [f"{name}.{rule.name}" for name in ("gopher", "fineweb") for rule in SETS[name].rules]
    assert found == [*sets, "too_small"]


def test_sets_on_one_column_both_hold(tmp_path: Path) -> None:
    rules = [rule for rule in _load(tmp_path, RECIPE).keep if rule.column == "dup_line_char_frac"]
    assert {rule.name: rule.max for rule in rules} == {
        "gopher.line_chars_repeat": {"en": 0.2},
        "fineweb.line_chars_repeat": {"en": 0.01},
    }


def test_without_leaves_out_and_keep_changes_in_place(tmp_path: Path) -> None:
    change = "keep: [{name: gopher.too_short, column: word_count, min: 20}, "
    text = RECIPE.replace("keep: [", change)
    recipe = _load(tmp_path, text + "without: [gopher.too_long, fineweb.lines_short]\n")
    names = [rule.name for rule in recipe.keep]
    assert names[:2] == ["gopher.too_short", "gopher.words_too_short"]
    assert "fineweb.lines_short" not in names
    assert recipe.keep[0].min == 20
    assert recipe.keep[0].source == "this recipe, in place of the set's"


def test_expanding_again_changes_nothing(tmp_path: Path) -> None:
    text = RECIPE.replace(
        "keep: [", "keep: [{name: gopher.too_short, column: word_count, min: 9}, "
    )
    recipe = _load(tmp_path, text + "without: [gopher.too_long]\n")
    again = checked_recipe(recipe, NO_WORKSPACE, ["udhr"])
    assert again == recipe
    assert again.digest == recipe.digest


def test_digest_follows_from_the_rules_and_not_from_the_names_of_sets(tmp_path: Path) -> None:
    by_name = _load(tmp_path, RECIPE)
    value = yaml.safe_load(RECIPE)
    del value["use"]
    value["keep"] = [rule.model_dump(mode="json") for rule in by_name.keep]
    written_out = _load(tmp_path, yaml.safe_dump(value))
    assert written_out.use == ()
    assert written_out.digest == by_name.digest
    fewer = _load(tmp_path, RECIPE + "without: [gopher.too_long]\n")
    assert fewer.digest != by_name.digest


def test_where_a_bound_comes_from_is_in_no_digest(tmp_path: Path) -> None:
    said = RECIPE.replace("min: 10}", "min: 10, source: a guess}")
    assert _load(tmp_path, said).digest == _load(tmp_path, RECIPE).digest
    assert _load(tmp_path, said).keep[-1].source == "a guess"


def test_rule_that_spares_nothing_is_dumped_as_before() -> None:
    rule = Rule(name="r", column="c", max=1)
    assert list(rule.model_dump()) == ["name", "column", "min", "max", "among"]
    sparing = Rule(name="r", column="c", max=1, unless={"kind": ("a",)})
    assert sparing.model_dump(mode="json")["unless"] == {"kind": ["a"]}
    assert Rule.model_validate(sparing.model_dump(mode="json")) == sparing


def test_set_of_a_workspace_is_used_and_wins(tmp_path: Path) -> None:
    workspace = _own_sets(tmp_path, ours=OWN_SET, gopher=OWN_SET.replace("ours", "gopher"))
    recipe = _load(tmp_path, RECIPE.replace("[gopher, fineweb]", "[ours, gopher]"), workspace)
    assert [rule.name for rule in recipe.keep][:3] == [
        "ours.too_short",
        "ours.too_long",
        "gopher.too_short",
    ]
    assert recipe.keep[0].source == "A page of ours, 2026"
    assert recipe.keep[1].source == "another page"


def test_derived_bound_is_written_out_with_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    derived = Derivation(
        date=date(2026, 11, 1), texts=("udhr",), documents=412, method="median - 3 sigma",
        versions={"statistics": 1},
    )  # fmt: skip
    own = Bounds(derived=derived, bounds={"mean_word_chars": {"min": 2.5}})
    monkeypatch.setattr(module, "derived_bounds", lambda column, side: {"am": 2.5, "und-Cyrl": 3.0})
    monkeypatch.setattr(module, "bounds", lambda: {"am": own, "und-Cyrl": own})
    text = RECIPE.replace("keep: [", "keep: [{name: few, column: mean_word_chars, min: derived}, ")
    rule = _load(tmp_path, text).keep[-2]
    assert rule.min == {"am": 2.5, "und-Cyrl": 3.0}
    assert "412 documents of udhr (2026-11-01)" in (source_of(rule.source, "am") or "")
    assert "derived for und-Cyrl" in (source_of(rule.source, "uk") or "")
    assert source_of(rule.source, "en") is None


def test_with_derived_leaves_rules_with_numbers_as_they_are() -> None:
    for value in ({"name": "r", "column": "c", "min": 3, "source": "s"}, {"name": "r"}, "r", None):
        assert with_derived(value) == value


# Faults -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[gopher, f", "[gofer, f", "no rule set named 'gofer'; did you mean gopher?"),
        ("[gopher, f", "[gopher, gopher, f", "use names gopher twice"),
        (", repetition]", "]", "the set gopher needs the op repetition; put it into ops"),
        ("use: [gopher", "use: [c4", "the set c4 needs the op c4_lines; put it into ops"),
        ("keep: [", "without: [gopher.too_shrt]\nkeep: [", "did you mean gopher.too_short?"),
        (
            "name: too_small",
            "name: gopher.too_small",
            "keep changes 'gopher.too_small', which that",
        ),
        ("min: 10", "min: derived", "no min of 'text_bytes' was derived"),
        ("text_bytes, min", "text_byts, min", "did you mean text_bytes?"),
        ("min: 10", "min: 10, unless: {languag: [en]}", "did you mean language?"),
        ("min: 10", "min: 10, unless: {word_count: [a]}", "but word_count holds int64"),
        ("min: 10", "min: 10, only: {}", "keep.0.only"),
    ],
)
def test_recipe_names_a_fault_of_sets_and_the_way_out(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in RECIPE
    with pytest.raises(RecipeError) as error:
        _load(tmp_path, RECIPE.replace(old, new))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_set_that_needs_an_op_with_other_parameters_says_both(tmp_path: Path) -> None:
    text = RECIPE.replace("repetition]", "repetition, {c4_lines: {min_words: 3}}]")
    with pytest.raises(RecipeError) as error:
        _load(tmp_path, text.replace("[gopher", "[c4, gopher"))
    assert "needs c4_lines with {'min_words': 5, 'terminal': True}" in str(error.value)
    assert "the recipe has it with {'min_words': 3, 'terminal': True}" in str(error.value)


def test_recipe_that_changes_and_leaves_out_one_rule_is_refused(tmp_path: Path) -> None:
    text = RECIPE.replace("keep: [", "keep: [{name: gopher.too_long, column: word_count, max: 9}, ")
    with pytest.raises(RecipeError, match="without leaves it out"):
        _load(tmp_path, text + "without: [gopher.too_long]\n")


def test_file_of_a_set_tells_all_faults_at_once(tmp_path: Path) -> None:
    text = OWN_SET.replace("source: A page of ours, 2026\n", "").replace("min: {en", "mim: {en")
    with pytest.raises(RuleSetError) as error:
        load_rule_set(_own_sets(tmp_path, ours=text).rule_sets[0] / "ours.yaml")
    assert "source: missing" in str(error.value)
    assert "rules.0.mim: unknown key; did you mean min?" in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: ours", "name: theirs", "make name and file one"),
        ("name: too_long", "name: too_short", "two rules are named too_short"),
        ("rules:", "rules: [", "not YAML"),
        ("{en: 4", "{xyzzy: 4", "rules.0.min: 'xyzzy' is no language tag"),
        ("ops: [", "ops: [statistic, ", "no op named 'statistic'; did you mean statistics?"),
        (
            "ops: [",
            "ops: [{longest_repeat: {least: 3}}, ",
            "longest_repeat has no parameter 'least'",
        ),
    ],
)
def test_file_of_a_set_names_its_fault(tmp_path: Path, old: str, new: str, said: str) -> None:
    workspace = _own_sets(tmp_path, ours=OWN_SET.replace(old, new))
    found = expanded(["ours"], [], [], workspace)
    assert found.rules == ()
    assert any(said in fault for fault in found.faults)


# Through a run ------------------------------------------------------------------------------------
PAGE = "The harbour of the old town lies in the north of it, and it was closed in the winter."
CODE = "import os\n\n\ndef f(a):\n    return [a, os.sep]\n"
DOCUMENTS = [
    {"id": "page.html", "text": f"Menu\n{PAGE} {PAGE}\n{PAGE}", "lang": "en"},
    {"id": "short.html", "text": f"Menu\n{PAGE}", "lang": "en"},
    {"id": "a/made.py", "text": f"# Automatically generated\n{CODE * 3}", "lang": "zxx"},
    {"id": "a/long.json", "text": '{"a": "' + "word " * 400 + '"}\n', "lang": "zxx"},
    {"id": "a/long.py", "text": f"{CODE * 10}a = '" + "word " * 400 + "'\n", "lang": "zxx"},
    {"id": "flagged.html", "text": f"{PAGE} {PAGE} It is grimble grumble. {PAGE}", "lang": "en"},
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = make_workspace(tmp_path_factory.mktemp("sets") / "workspace")
    add_source(folder, "third", DOCUMENTS)
    words = folder / "words.txt"
    words.write_text("Grimble  grumble\nगाली\n", encoding="utf-8")
    sha256 = hashlib.sha256(words.read_bytes()).hexdigest()
    listed = (
        f"flagged_words: {{lists: [{{language: en, path: {words}, sha256: {sha256},"
        " license: CC0-1.0}]}"
    )
    change_recipe(folder, "[first, second]", "[third]")
    change_recipe(
        folder,
        "ops: [nfc, whitespace, language, statistics,",
        f"use: [c4, the-stack, c4-bad-words]\nops: [nfc, language, c4_lines, {{{listed}}}, code,"
        " statistics,",
    )
    root = new_root(folder / "root")
    record = run_tiny(folder, root)
    return Store(str(root)), record


def _ask(run: Any, sql: str) -> list[Any]:
    store, record = run
    return connect(store, record["run_id"]).execute(sql).fetchall()


def _told(run: Any, where: str) -> str:
    """A document's story as one line."""
    store, record = run
    joined = "select d.id from decisions d join measures m using (id) where"
    ((document,),) = _ask(run, f"{joined} {where}")
    return " ".join(render_story(explain(store, document, record["run_id"])).split())


def test_run_drops_by_rules_of_sets_under_their_names(run: Any) -> None:
    reasons = [reason for (reason,) in _ask(run, "select reason from decisions")]
    assert sorted(map(str, reasons)) == [
        "None",
        "None",
        "c4-bad-words.bad_word",
        "c4.too_few_sentences",
        "the-stack.generated",
        "the-stack.longest_line_too_long",
    ]


def test_explain_shows_each_rule_with_its_set_bound_and_source(run: Any) -> None:
    told = _told(run, "reason = 'c4.too_few_sentences'")
    assert "set c4, after C4 (Raffel et al. 2020, arXiv 1910.10683), section 2.2;" in told
    assert "FAIL c4.too_few_sentences: c4_sentence_count 1, asked at least 3" in told
    assert "the-stack.generated: code_generated_count null, no bound for its language" in told
    assert "the recipe: pass too_short:" in told
    assert "c4_line_frac 0.5" in told


def test_explain_says_why_a_rule_does_not_judge(run: Any) -> None:
    told = _told(run, "programming_language = 'JSON'")
    name = "the-stack.longest_line_too_long"
    assert f"- {name}: code_longest_line_chars not judged, as programming_language is JSON" in told


def test_catalog_lists_the_rules_with_set_bound_and_origin(run: Any) -> None:
    rows = _ask(run, 'select rule, tag, "of", least, most, origin, unless from rules')
    found = {(rule, tag): rest for rule, tag, *rest in rows}
    of, least, most, origin, _ = found["c4.too_few_sentences", "en"]
    assert (of, least, most) == ("set c4", 3.0, None)
    assert origin.startswith("C4 (Raffel")
    assert found["too_short", "zh"] == ["the recipe", 8.0, None, None, None]
    assert "JSON" in found["the-stack.mean_line_too_long", "zxx"][-1]


def test_rewrite_tells_what_it_took_beside_the_text() -> None:
    assert ops()["c4_lines"].measures[0].name == "c4_line_frac"
    assert ops()["nfc"].measures == ops()["html"].measures == ()


def test_key_of_a_rewrite_that_reads_a_measure_changes_with_what_made_it() -> None:
    card = load_registry(NO_WORKSPACE).cards["udhr"]
    text = Ref("text", "0" * 64, 1)
    language, lines, nfc = ops()["language"], ops()["c4_lines"], ops()["nfc"]
    other = language.bind({"places": 4})
    one, two = (keyed(card, text, [each, lines]) for each in (language, other))
    assert one.clean != two.clean
    assert one.ops["c4_lines"] != two.ops["c4_lines"]
    assert keyed(card, text, [language, nfc]).clean == keyed(card, text, [other, nfc]).clean


@pytest.mark.parametrize(
    ("clean", "ops_", "said"),
    [
        (["c4_lines"], ["language"], "c4_lines of its card reads"),
        (["tell"], ["tell"], "its card and the recipe both run tell"),
    ],
)
def test_chain_refuses_an_op_of_a_card_that_cannot_run_there(
    monkeypatch: pytest.MonkeyPatch, clean: list[str], ops_: list[str], said: str
) -> None:
    told = Column("told", pa.int64(), "Something.")

    def tell(batch: pa.RecordBatch) -> list[pa.Array]:
        return [batch["text"], pa.nulls(batch.num_rows, pa.int64())]

    known = {**ops(), "tell": op(reads=[TEXT], writes=[TEXT, told])(tell)}
    monkeypatch.setattr(measure, "find_op", lambda name, *_: known[name])
    card = load_registry(NO_WORKSPACE).cards["udhr"].model_copy(update={"clean": tuple(clean)})
    with pytest.raises(RecipeError, match=said):
        chain(card, [known[name] for name in ops_], ())
