"""The fault matrix, written out of the tests' own markers: `python tests/faults/matrix.py`."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PAGE = FOLDER.parents[1] / "docs" / "faults.md"

HEAD = """\
# What a run withstands

Each row is a test in [`tests/faults`](../tests/faults): it disturbs a run over about 280 documents
in many scripts, with the local engine where a process is what is disturbed, and compares what comes
of it with an undisturbed run: the digests of all datasets and the release. `python
tests/faults/matrix.py` writes this page out of the tests, and a test fails if it is stale.

A test runs with every change, or in the nightly run where it takes long. Killing at random moments
is seeded: three kills of each kind with every change, and 21 more in the nightly run, which goes
through all rows on a Spark cluster too; [nightly.md](nightly.md) holds its last results.
"""

TITLES = {
    "test_kills.py": "Processes that end",
    "test_files.py": "Disks and files",
    "test_network.py": "Servers",
    "test_runs.py": "Clocks, and work done twice",
    "test_determinism.py": "The same bytes however they are made",
}


@dataclass(frozen=True)
class Row:
    """A fault, what a run promises then, and the test that holds it to that."""

    file: str
    test: str
    fault: str
    promise: str
    nightly: bool


def rows(folder: Path) -> Iterator[Row]:
    """The rows of all test modules of a folder, in their order. Raises ValueError for half a row.

    A test that is expected to fail is no promise, and no row.
    """
    for name in TITLES:
        tree = ast.parse((folder / name).read_text(encoding="utf-8"))
        for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
            marks = {_name(each): each for each in function.decorator_list}
            if "fault" not in marks or "xfail" in marks:
                continue
            call = marks["fault"]
            said = {
                word.arg: ast.literal_eval(word.value)
                for word in (call.keywords if isinstance(call, ast.Call) else ())
            }
            if said.keys() != {"fault", "promise"}:
                msg = f"{name}: {function.name} needs fault= and promise= in its mark"
                raise ValueError(msg)
            nightly = "nightly" in marks
            yield Row(name, function.name, said["fault"], said["promise"], nightly)


def _name(decorator: ast.expr) -> str:
    """The last part of a mark: `fault` of `@pytest.mark.fault(...)`."""
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return target.attr if isinstance(target, ast.Attribute) else ""


def page(folder: Path) -> str:
    """The page as it should be."""
    parts = [HEAD]
    found = list(rows(folder))
    for file, title in TITLES.items():
        parts += [f"\n## {title}\n", "\n| fault | what a run promises | test |\n|---|---|---|\n"]
        for row in found:
            if row.file == file:
                where = f"`{row.test}`{' (nightly)' if row.nightly else ''}"
                parts.append(f"| {row.fault} | {row.promise} | {where} |\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(FOLDER), encoding="utf-8")
