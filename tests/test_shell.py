"""The project's shell: links, lock files, what a wheel holds, and what no file may name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from built_wheel import PACKAGES, ROOT, build_wheel
from outside import require

LOCKS = sorted(path.name for path in ROOT.glob("requirements*.lock"))
DATA = {".css", ".gz", ".html", ".jinja", ".js", ".json", ".jsonl", ".lock", ".svg", ".yaml"}

PIN = re.compile(r"^[A-Za-z0-9._-]+==[^\s;\\]+( ; [^\\]+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")
COMMENT = re.compile(r"^ *#")
# Any address or absolute path: `scheme://`, `/folder/...`, or a Windows drive.
ADDRESS = re.compile(r"[a-z]+://|(?<![\w.])/[a-z]+/|\b[A-Z]:\\", re.IGNORECASE)


@pytest.mark.parametrize("package", PACKAGES)
def test_links_each_package_is_linked_relatively(package):
    link = ROOT / "phloem" / package
    assert link.is_symlink()
    assert link.readlink().as_posix() == f"../{package}"


@pytest.mark.parametrize("package", [*PACKAGES, "phloem", "tests"])
def test_readme_every_package_has_one(package):
    text = (ROOT / package / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# ")


def test_locks_every_extra_has_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = [*project["project"]["optional-dependencies"], *project["dependency-groups"]]
    assert sorted(["requirements.lock", *(f"requirements-{e}.lock" for e in extras)]) == LOCKS


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_every_line_is_a_pin_a_hash_or_a_comment(lock):
    lines = (ROOT / lock).read_text(encoding="utf-8").splitlines()
    strange = [line for line in lines if not any(p.match(line) for p in (PIN, HASH, COMMENT))]
    assert strange == []


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_every_pin_has_a_hash(lock):
    lines = (ROOT / lock).read_text(encoding="utf-8").splitlines()
    bare = [
        line
        for line, after in zip(lines, [*lines[1:], ""], strict=True)
        if PIN.match(line) and not HASH.match(after)
    ]
    assert bare == []


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_address_and_no_path(lock):
    found = ADDRESS.findall((ROOT / lock).read_text(encoding="utf-8"))
    assert found == []


@pytest.mark.parametrize("lock", [name for name in LOCKS if name != "requirements.lock"])
def test_lock_agrees_with_the_runtime_lock(lock):
    assert _pins("requirements.lock").items() <= _pins(lock).items()


def _pins(lock: str) -> dict[str, str]:
    lines = (ROOT / lock).read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ")[0].split("==") for line in lines if PIN.match(line))


def test_files_none_names_a_place_of_one_machine():
    places = re.compile(rf"/(?:work|home/[a-z]+|root|Users)/|{re.escape(str(Path.home()))}/")
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in _tracked()
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".lock", ".html", ""}
        for match in places.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []


def _tracked() -> list[Path]:
    """The files of the checkout that git does not ignore, less this one and the bundled texts."""
    listed = subprocess.run(
        [require("git"), "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("no git checkout")
    found = [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]
    bundled = ROOT / "sources" / "bundled"
    return [
        path
        for path in found
        if path.is_file()
        and not path.is_symlink()
        and path != Path(__file__).resolve()
        and bundled not in path.parents
    ]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this checkout."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def test_wheel_holds_the_package_and_nothing_else(wheel):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"phloem"}


def test_wheel_holds_every_module_and_data_file(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        f"phloem/{path.relative_to(ROOT).as_posix()}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and (path.suffix in {*DATA, ".py", ".md"} or "bundled" in path.parts)
    }
    wanted = {name for name in wanted if "/." not in name and "__pycache__" not in name}
    assert wanted - held == set()
    assert "phloem/py.typed" in held
    assert any(name.endswith("/licenses/LICENSE") for name in held)


def test_wheel_holds_no_compiled_or_test_file(wheel):
    held = zipfile.ZipFile(wheel).namelist()
    assert [n for n in held if "__pycache__" in n or n.endswith(".pyc") or "/test" in n] == []


def test_wheel_unpacked_elsewhere_works(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        "import phloem, phloem.catalog.store\n"
        "import phloem.filters.op as o, phloem.sources.connector as c\n"
        "print(phloem.__file__); print(len(o.ops())); print(len(c.connectors()))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    place, ops, connectors = done.stdout.split()
    assert place == str(tmp_path / "phloem" / "__init__.py")
    assert int(ops) > 0
    assert int(connectors) > 0


@pytest.mark.parametrize("given", [["VENV=mine"], ["-f", "../Makefile"]])
def test_make_clean_leaves_alone_what_make_has_not_made(tmp_path, given):
    """A folder of somebody's that VARIABLE=… names, or another folder than the Makefile's."""
    (tmp_path / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    mine = tmp_path / "mine"
    (mine / "build").mkdir(parents=True)
    where = mine if "-f" in given else tmp_path
    made = subprocess.run(["make", *given, "clean"], cwd=where, capture_output=True, check=False)
    assert made.returncode
    assert (mine / "build").is_dir()
