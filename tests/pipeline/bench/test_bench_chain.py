"""Chains beside one another: how they are counted and compared, and which peers are refused."""

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
import yaml
from tiny_workspace import ARTICLES
from typer.testing import CliRunner

from phloem.pipeline.bench import chain as bench_chain
from phloem.pipeline.bench.chain import (
    FAMILIES,
    agreement,
    broken,
    cpu_of,
    differing,
    english,
    interpreter,
    judge,
    last_json,
    parse_verdicts,
    program,
    speed_rows,
    spread,
    version_of,
    write_recipe,
    write_sample,
)
from phloem.pipeline.bench.peers import datatrove_chain, dolma_chain
from phloem.pipeline.cli.app import app
from phloem.pipeline.recipe import load_recipe
from phloem.pipeline.stage import StageError
from phloem.pipeline.workspace import Workspace

DATATROVE = os.environ.get("PHLOEM_TEST_DATATROVE")
PROSE = (
    "The river that runs by the old mill has to be crossed with care, and those of us who have"
    " walked there know that the water of spring is cold, quick and deep. "
)

BURN = "import time\nwhile time.process_time() < 0.5: pass"


def documents(count: int) -> list[dict[str, str]]:
    return [{"id": str(n), "text": f"Day {n}. {PROSE * 3}", "lang": "en"} for n in range(count)]


# The sample ---------------------------------------------------------------------------------------
def test_the_sample_is_english_and_numbered(tmp_path: Path) -> None:
    given = [{"id": "x", "text": "t", "lang": tag} for tag in ["en", "en-GB", "fr", "eng", ""] * 9]
    found = english(given, tmp_path)
    assert [record["id"] for record in found] == [str(place) for place in range(27)]


def test_a_sample_of_start_up_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="holds 20 English documents of 21, and a chain is"):
        english([*documents(20), {"id": "f", "text": "un", "lang": "fr"}], tmp_path)


def test_few_documents_come_from_the_whole_of_a_sample() -> None:
    assert [record["id"] for record in spread(documents(100), 4)] == ["0", "25", "50", "75"]


def test_the_written_sample_is_read_back(tmp_path: Path) -> None:
    folder = write_sample(documents(3), tmp_path / "made")
    assert list(datatrove_chain.records(str(folder))) == documents(3)
    assert list(dolma_chain.records(str(folder))) == documents(3)


def test_the_recipe_is_quickstarts_with_published_rules_and_a_given_tokenizer(
    tmp_path: Path,
) -> None:
    path, tokenizer = write_recipe(documents(5), tmp_path)
    recipe = load_recipe(str(path), Workspace(), [])
    assert recipe.tokenizer.file == str(tokenizer)
    assert recipe.dedup is not None
    assert (recipe.dedup.bands, recipe.dedup.rows) == (14, 8)
    assert len(recipe.keep) == 1 + sum(map(len, FAMILIES.values()))
    assert yaml.safe_load(path.read_text("utf-8"))["sources"] == []


# Counting -----------------------------------------------------------------------------------------
def test_a_process_that_nobody_waits_for_is_counted(tmp_path: Path) -> None:
    orphan = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {BURN!r}])"
    seconds, _ = cpu_of("tool", [sys.executable, "-c", orphan], tmp_path, {})
    assert seconds >= 0.5


def test_what_lingers_is_ended() -> None:
    code = (
        "import subprocess, sys; from phloem.pipeline.bench.stopwatch import reap\n"
        "left = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "reap(0)\n"
        "print(left.poll() is not None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout == "True\n"


def test_a_command_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    code = "import sys; sys.stderr.write('at first\\nno room on the disk\\n'); sys.exit(3)"
    with pytest.raises(StageError, match=r"^tool ended with 3: no room on the disk; run its chain"):
        cpu_of("tool", [sys.executable, "-c", code], tmp_path, {})


def test_start_up_is_taken_off_and_the_ratio_is_against_ours() -> None:
    best = {"phloem": {"small": 8.0, "whole": 12.0}, "other": {"small": 4.0, "whole": 24.0}}
    rows = speed_rows(6_000_000, best)
    assert rows["phloem"] == {
        "MB": 6.0,
        "CPU s": 12.0,
        "start-up s": 8.0,
        "MB/s": 0.5,
        "net MB/s": 1.5,
    }
    assert (rows["other"]["ratio"], rows["other"]["net ratio"]) == (2.0, 5.0)
    assert rows["other"]["net MB/s"] == 0.3


def test_a_sample_within_the_noise_of_start_up_has_no_net_speed() -> None:
    best = {"phloem": {"small": 8.0, "whole": 7.9}, "other": {"small": 4.0, "whole": 24.0}}
    rows = speed_rows(10**6, best)
    assert rows["phloem"]["net MB/s"] is None
    assert rows["other"]["net ratio"] is None


# Verdicts -----------------------------------------------------------------------------------------
def test_the_first_rule_that_a_document_breaks_is_named() -> None:
    rules = FAMILIES["Gopher quality"]
    sound = {
        "word_count": 50,
        "mean_word_chars": 10.0,
        "hash_word_ratio": 0.1,
        "ellipsis_word_ratio": 0.1,
        "bullet_line_frac": 0.9,
        "ellipsis_line_frac": 0.3,
        "alpha_word_frac": 0.8,
        "stop_word_count": 2,
    }
    assert broken(rules, sound) is None
    assert broken(rules, sound | {"alpha_word_frac": None}) is None
    assert broken(rules, sound | {"alpha_word_frac": 0.7, "stop_word_count": 1}) == (
        "too_few_letters"
    )
    assert broken(rules, sound | {"word_count": 49}) == "too_short"


def test_our_verdicts_are_those_of_our_ops() -> None:
    good = " ".join(
        f"The {word} walked through morning {n} and that." for n, word in enumerate(PROSE.split())
    )
    records = [{"id": "0", "text": good}, {"id": "1", "text": "Too short."}]
    found = judge(records)
    assert found["Gopher quality"] == {"0": None, "1": "too_short"}
    assert found["Gopher repetition"]["1"] is None
    assert judge([{"id": "2", "text": PROSE * 20}])["Gopher repetition"]["2"] is not None


def test_agreement_says_the_share_who_keeps_how_many_and_the_commonest_difference() -> None:
    left = {"a": None, "b": None, "c": "too_short", "d": "too_long"}
    right = {"a": "few_letters", "b": "few_letters", "c": None, "d": "long"}
    assert differing("ours", "theirs", left, right) == {
        "theirs's few_letters": 2,
        "ours's too_short": 1,
    }
    assert agreement("quality", "ours", "theirs", left, right) == {
        "row": "quality: ours, theirs",
        "alike": "25.0%",
        "says": "ours keeps 2, theirs 1; of 3 differences 2 are theirs's few_letters",
    }


def test_agreement_without_a_difference_names_none() -> None:
    row = agreement("quality", "ours", "theirs", {"a": None}, {"a": None})
    assert (row["alike"], row["says"]) == ("100.0%", "ours keeps 1, theirs 1")


def test_a_peers_verdicts_are_read_by_family() -> None:
    line = {"id": "0", "Gopher quality": "short", "Gopher repetition": None}
    found = parse_verdicts("other", json.dumps(line) + "\n", 1)
    assert found == {"Gopher quality": {"0": "short"}, "Gopher repetition": {"0": None}}
    with pytest.raises(StageError, match="other judged 1 documents of 2"):
        parse_verdicts("other", json.dumps(line), 2)


def test_a_peers_counts_stand_on_its_last_line() -> None:
    assert last_json("other", 'log\n{"documents": 2, "tokens": 9}\n\n')["tokens"] == 9
    with pytest.raises(StageError, match="ended with 'log' and not with its counts"):
        last_json("other", "log\n")


def test_datatroves_answers_are_a_truth_or_a_pair() -> None:
    answers = [True, False, (True, "x"), (False, "gopher_short_doc")]
    found = [datatrove_chain.broken(answer) for answer in answers]
    assert found == [None, "dropped", None, "gopher_short_doc"]


def test_dolmas_measures_are_judged_within_the_same_bounds() -> None:
    rules = dolma_chain.QUALITY
    sound = {"word_count": 50.0, "median_word_length": 3.0, "required_word_count": 2.0}
    assert dolma_chain.broken(rules, sound) is None
    assert dolma_chain.broken(rules, sound | {"word_count": 49.0}) == "word_count"
    assert dolma_chain.broken(rules, sound | {"symbol_to_word_ratio": 0.2}) == (
        "symbol_to_word_ratio"
    )
    bounds = {(rule.min, rule.max) for rule in FAMILIES["Gopher repetition"]}
    assert set(dolma_chain.REPETITION.values()) == bounds


def test_the_tokenizer_is_handed_to_an_old_library_in_its_own_spelling() -> None:
    end = {"id": 7, "content": "<|endoftext|>"}
    given = {"model": {"merges": [["a", "b"], "c d"]}, "added_tokens": [end]}
    found, token = dolma_chain.legacy_tokenizer(given)
    assert (found["model"]["merges"], token) == (["a b", "c d"], 7)


# Peers --------------------------------------------------------------------------------------------
def test_a_python_that_is_not_there_is_refused() -> None:
    with pytest.raises(StageError, match="--datatrove nowhere/python is no program; name the"):
        interpreter("datatrove", "nowhere/python")


def test_a_python_without_the_tool_is_refused() -> None:
    with pytest.raises(StageError, match=r"--no-such-tool .* has no no-such-tool: .*; install it"):
        version_of("no-such-tool", sys.executable)


def test_a_relative_python_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python").symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    assert interpreter("datatrove", "./python") == str(tmp_path / "python")


def test_the_command_without_datatrove_says_what_it_needs(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["bench", "chain", "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "--datatrove" in result.output


PEER = """
import json, sys
what, data, work, *_ = sys.argv[1:]
if what == "chain":
    print("a log\\n" + json.dumps({"documents": 3, "tokens": 1234}))
else:
    with open(work + "/verdicts.jsonl", "w") as out:
        for n in range(30):
            verdicts = {"Gopher quality": "short" if n < 10 else None, "Gopher repetition": None}
            print(json.dumps({"id": str(n), **verdicts}), file=out)
"""


def test_rows_say_what_a_stand_in_peer_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "peers").mkdir()
    (tmp_path / "peers" / "pytest_chain.py").write_text(PEER, encoding="utf-8")
    monkeypatch.setattr(bench_chain, "PEERS", tmp_path / "peers")
    monkeypatch.setattr(bench_chain, "_own_chain", lambda *_: lambda *_: (0.1, "keeps all"))
    data = write_sample(documents(30), tmp_path / "data")
    notes: list[str] = []
    rows = list(
        bench_chain.bench_chain(data, peers={"pytest": sys.executable}, repeat=2, told=notes.append)
    )
    ours, theirs, quality, repetition = rows
    assert ours["row"] == "phloem"
    assert theirs["row"] == f"pytest {pytest.__version__}"
    assert theirs["says"] == "keeps 3 documents, 1,234 tokens"
    assert quality["row"] == "Gopher quality: phloem, pytest"
    assert "pytest 20" in quality["says"]
    assert repetition["row"] == "Gopher repetition: phloem, pytest"
    assert len([line for line in notes if "round" in line]) == 8


@pytest.mark.nightly
@pytest.mark.beam
def test_our_own_chain_keeps_sound_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ARTICLES["en"].split()
    texts = [" ".join(Random(n).sample(words, len(words))) for n in range(30)]  # noqa: S311 - no secret
    records = [{"id": str(n), "text": text, "lang": "en"} for n, text in enumerate(texts)]
    (tmp_path / "peers").mkdir()
    (tmp_path / "peers" / "pytest_chain.py").write_text(PEER, encoding="utf-8")
    monkeypatch.setattr(bench_chain, "PEERS", tmp_path / "peers")
    data = write_sample(records, tmp_path / "data")
    peers = {"pytest": sys.executable}
    ours, *_ = bench_chain.bench_chain(data, peers=peers, repeat=1, told=lambda _: None)
    assert ours["says"].startswith("keeps 30 documents, ")
    assert ours["CPU s"] > 1


@pytest.mark.skipif(
    DATATROVE is None,
    reason="PHLOEM_TEST_DATATROVE names no Python that has datatrove[processing,io]",
)
def test_datatrove_judges_as_its_program_says(tmp_path: Path) -> None:
    assert DATATROVE is not None
    data = write_sample(
        [*documents(2), {"id": "2", "text": "Short.", "lang": "en"}], tmp_path / "d"
    )
    command = [DATATROVE, program("datatrove"), "judge", str(data), str(tmp_path)]
    cpu_of("datatrove", command, tmp_path, {})
    verdicts = parse_verdicts("datatrove", (tmp_path / "verdicts.jsonl").read_text("utf-8"), 3)
    assert verdicts["Gopher quality"]["2"] == "gopher_short_doc"
    assert verdicts["Gopher repetition"]["0"] is not None
