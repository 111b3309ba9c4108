"""Recipes: every fault at once, with the nearest name; bounds by language."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from phloem.catalog.rules import Rule, bound_of
from phloem.pipeline.recipe import RECIPES, Recipe, RecipeError, load_recipe, recipe_files
from phloem.pipeline.registry.page import part_of
from phloem.pipeline.registry.registry import load_registry
from phloem.pipeline.workspace import Workspace

NO_WORKSPACE = Workspace()

GOOD = """\
name: mine
summary: Mine.
policy: quickstart
sources: [udhr]
ops: [nfc, language, statistics, minhash, pii]
keep: [{name: too_short, column: word_count, min: 5}]
dedup: {bands: 14, rows: 8}
scrub: {email: "<EMAIL>"}
tokenizer: {train: {vocab_size: 600}}
"""


def _load(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    load_recipe(str(path), NO_WORKSPACE, ["udhr", "prose"])


def test_load_recipe_takes_a_good_one(tmp_path: Path) -> None:
    _load(tmp_path, GOOD)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("statistics,", "statistic,", "no op named 'statistic'; did you mean statistics?"),
        ("word_count", "word_cout", "which no op of this recipe writes; did you mean word_count?"),
        ("[udhr]", "[udrh]", "no source named 'udrh'; did you mean udhr?"),
        ("policy: quickstart", "policy: quikstart", "did you mean quickstart?"),
        ("summary:", "sumary:", "unknown key; did you mean summary?"),
        ("minhash,", "minhash: {permutation: 4},", "minhash has no parameter 'permutation'"),
        ("bands: 14", "bands: 15", "dedup asks for 120 hashes (bands x rows), minhash makes 112"),
        (", minhash", "", "dedup needs the op minhash"),
        (", pii]", "]", "scrub needs the op pii"),
        ("language, ", "", "statistics reads ['language'], which no op before it writes"),
        ("nfc,", "html,", "html is an extractor"),
        (", min: 5", "", "it would keep everything"),
        ("name: mine", "name: yours", "name is 'yours', but the file is mine.yaml"),
        ("{train: {vocab_size: 600}}", "{}", "tokenizer takes either train"),
        ("name: mine", "name: [", "not YAML"),
        ("scrub: {email:", "scrub: {emial:", "no kind of personal data; did you mean email?"),
        ("column: word_count", "column: language", "asks for numbers, but language holds string"),
        ("min: 5", "among: [a]", "asks for words, but word_count holds int64"),
        ("min: 5", "min: 5, max: 4", "keep.0: min is above max for default"),
        ("min: 5", "min: {sw: 5}, max: {en: 9, default: 4}", "keep.0: min is above max for sw"),
        ("min: 5", "min: {}", "keep.0.min: found {}, expected a number or at least one entry"),
        ("min: 5", "min: some", "keep.0.min: found 'some', expected a number or a mapping"),
        ("min: 5", "min: {en: some}", "keep.0.min.en: found 'some', expected a number"),
        ("min: 5", "min: {Latn: 5}", "keep.0.min: 'Latn' is no language tag"),
        ("min: 5", "min: 5, unless: {language: []}", "language: found [], expected at least one"),
        ("min: 5", "min: 5, source: 5", "keep.0.source: found 5, expected a text or a mapping"),
        ("name: too_short", 'name: "a\\e[31m"', "keep.0.name: found 'a\\x1b[31m'"),
        ("name: mine", "name: mine\nname: mine", "line 2: the key name stands in line 1 already"),
        ("name: mine", "name: mine\nuse: gopher", "use: found 'gopher', expected a list"),
        ("name: mine", "name: mine\nuse: [5]", "use.0: found 5, expected a text"),
        ("summary: Mine.", "summary: 2026-99-99", "written like a timestamp and is none"),
    ],
)
def test_load_recipe_names_a_fault_and_the_way_out(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in GOOD
    with pytest.raises(RecipeError) as error:
        _load(tmp_path, GOOD.replace(old, new))
    assert said in str(error.value)


def test_load_recipe_lists_all_faults_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("[udhr]", "[udrh]").replace("statistics,", "statistic,")
    with pytest.raises(RecipeError) as error:
        _load(tmp_path, text)
    assert "udrh" in str(error.value)
    assert "statistic" in str(error.value)


def test_load_recipe_says_what_recipes_there_are() -> None:
    with pytest.raises(RecipeError, match="did you mean quickstart"):
        load_recipe("quikstart", NO_WORKSPACE, [])


def test_shipped_recipes_name_only_what_there_is() -> None:
    known = sorted(load_registry(NO_WORKSPACE).cards)
    for path in RECIPES.glob("*.yaml"):
        assert load_recipe(path.stem, NO_WORKSPACE, known).name == path.stem


def test_bound_of_takes_the_nearest_language() -> None:
    rule = Rule(name="r", column="c", min={"default": 1, "zh": 2, "zh-Hant": 3})
    tags = ["zh-Hant", "zh-Hans", "zh", "fr", None]
    assert [bound_of(rule.min, tag) for tag in tags] == [3, 2, 2, 1, 1]
    assert bound_of({"zh": 2.0}, "fr") is None


def test_bound_of_a_script_holds_for_its_languages_without_their_own() -> None:
    bounds = {"und-Cyrl": 3.0, "ru": 2.0, "und-Latn": 5.0, "default": 1.0}
    tags = ["ru", "uk", "sr-Latn", "am", "und", "zxx", None]
    assert [bound_of(bounds, tag) for tag in tags] == [2, 3, 5, 1, 1, 1, 1]


@given(st.floats(-1e6, 1e6), st.text(max_size=5))
def test_bound_of_a_number_holds_for_every_language(bound: float, language: str) -> None:
    assert bound_of(bound, language) == bound


def test_recipe_registries_names_active_sources_of_package_indexes_alone() -> None:
    registry = load_registry(Workspace())
    recipe = load_recipe("registries", Workspace(), sorted(registry.cards))
    assert {part_of(registry.cards[source]) for source in recipe.sources} == {"index"}
    assert len(recipe.sources) >= 110


def test_recipes_of_package_indexes_go_on_without_a_package_that_is_gone() -> None:
    found = {
        name: yaml.safe_load(path.read_text(encoding="utf-8")).get("on_unavailable", "stop")
        for name, path in recipe_files(NO_WORKSPACE).items()
    }
    assert {name: found[name] for name in ("debian", "quickstart", "registries")} == {
        "debian": "skip",
        "quickstart": "stop",
        "registries": "skip",
    }


@pytest.mark.parametrize(("given", "read"), [("", "stop"), ("stop", "stop"), ("skip", "skip")])
def test_recipe_says_what_becomes_of_a_source_that_is_not_to_be_had(given: str, read: str) -> None:
    value = yaml.safe_load(GOOD) | ({"on_unavailable": given} if given else {})
    assert Recipe.model_validate(value).on_unavailable == read
    with pytest.raises(ValidationError, match="'stop' or 'skip'"):
        Recipe.model_validate(value | {"on_unavailable": "ignore"})
