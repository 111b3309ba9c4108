"""Debian source packages, brought by apt-get: the archives that their authors made.

What Debian adds (`debian/`, patches) stays out, and dpkg-source, which would unpack and patch them,
is never run.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Literal

from phloem.sources.clients.clients import check, complaint, pinned, run_client
from phloem.sources.clients.packages import LOCK, below
from phloem.sources.connector import Files, GoneError, Pin, PinnedFile, SourceError
from phloem.sources.formats.archives import BROKEN, Member, is_unsafe, tar_members
from phloem.sources.formats.unpack import UnpackError, compression_of
from phloem.sources.limits import Limits
from phloem.sources.naming import Naming

TOLD = 1_000
"""Members looked at to tell whether an archive's all lie in one folder."""

Kind = Literal["Packages", "Sources"]

# An index that an archive lacks answers 404: that archive was reached.
_UNREACHED = re.compile(r"^([WE]: Failed to fetch )\S+ +(?!404\b).*$", re.MULTILINE)
_ENVIRONMENT = {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
_ARCHIVE = re.compile(r"_[^_/]+?(?:\.orig(?:-(?P<part>[A-Za-z0-9-]+))?)?\.tar\.\w+")  # dsc(5)


def pinned_sources(
    naming: Naming, packages: Sequence[tuple[str, str | None]], folder: Path
) -> list[tuple[str, str, PinnedFile]]:
    """(package, version, archive) of each archive of source packages, fetched into a folder.

    Args:
        naming: Which names and versions apt-get may be asked for.
        packages: Names, with a version or None for the newest.
        folder: An empty one.

    Raises:
        GoneError: a version is not served.
        SourceError: a package is not served, or apt-get cannot fetch.
    """
    lists = _lists(folder)
    found = []
    for package, version in packages:
        full, archives = _download(naming, lists, package, version, folder)
        for path in archives:
            name = f"{package}_{full.replace(':', '%3a')}/{path.name}"
            found.append((package, full, replace(pinned(path), name=name)))
    return found


def fetched_sources(naming: Naming, pin: Pin, folder: Path) -> Files:
    """Where the pinned archives lie, after fetching them into a folder. Raises as above."""
    packages = dict.fromkeys(split_name(file.name)[:2] for file in pin.files)
    for package, version in packages:
        naming.require(package, version)
    folder.mkdir(parents=True, exist_ok=True)
    lists = _lists(folder)
    there: dict[tuple[str, str], Path] = {}
    for package, version in packages:
        _, archives = _download(naming, lists, package, version, folder)
        there |= {(package, path.name): path for path in archives}
    files = {}
    for file in pin.files:
        package, version, name = split_name(file.name)
        if (package, name) not in there:
            raise GoneError(f"{package} {version} holds no {name} any more; {LOCK}")
        files[file.name] = check(there[package, name], file)
    return files


def split_name(name: str) -> tuple[str, str, str]:
    """Package, version and archive in a pinned name PACKAGE_VERSION/ARCHIVE."""
    folder, _, archive = name.partition("/")
    package, _, version = folder.partition("_")
    return package, version.replace("%3a", ":"), archive


def apt_get(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run apt-get in a folder; what it says is in English, and it asks nobody."""
    return run_client(["apt-get", *arguments], folder, _ENVIRONMENT)


def _download(
    naming: Naming, lists: Sequence[str], package: str, version: str | None, folder: Path
) -> tuple[str, list[Path]]:
    """Version and archives of a source package. Raises GoneError and SourceError."""
    naming.require(package, version)
    into = folder / package
    into.mkdir(parents=True, exist_ok=True)
    done = _source(lists, f"{package}={version}" if version else package, into)
    described = sorted(into.glob("*.dsc"))
    if done.returncode or len(described) != 1:
        raise _refusal(lists, package, version, done.stderr, into)
    said = re.search(r"^Version: (\S+)$", described[0].read_text("utf-8", "replace"), re.MULTILINE)
    full = said[1] if said else ""
    naming.require(package, full)
    archives = [path for path in sorted(into.iterdir()) if _is_upstream(path.name)]
    if not archives:
        raise SourceError(f"the source package {package} holds no archive of its authors")
    return full, archives


def _is_upstream(name: str) -> bool:
    return _ARCHIVE.search(name) is not None and ".debian.tar." not in name and name[-4:] != ".asc"


def _source(
    lists: Sequence[str], asked: str, folder: Path, *more: str
) -> subprocess.CompletedProcess[str]:
    command = ["--quiet", *lists, "source", "--download-only", "--only-source"]
    return apt_get([*command, *more, "--", asked], folder)


def _refusal(
    lists: Sequence[str], package: str, version: str | None, output: str, folder: Path
) -> SourceError:
    """What to say of a download that failed."""
    shown = _source(lists, package, folder, "--print-uris").stdout
    served = re.search(rf"^'[^']*' {re.escape(package)}_(\S+)\.dsc ", shown, re.MULTILINE)
    if version and served and served[1] != version:
        return GoneError(
            f"source package {package} {version} is not served here; {served[1]} is (this"
            f" machine's suite or package lists differ from those that were locked); {LOCK}"
        )
    if "Unable to find a source package" in output:
        return SourceError(f"apt-get knows no source package {package}: the suite has none")
    first = output[output.find("E: ") :].partition("\n")[0]  # the last says only that others failed
    return SourceError(f"apt-get could not fetch sources of {package}: {complaint(first, 'E: ')}")


def _lists(folder: Path) -> list[str]:
    """Options with which apt-get finds source packages; none if this machine lists them itself.

    Most machines list none. Then the entries of its own package lists are read for `deb-src` too,
    into a folder of ours: nothing of the machine is changed.

    Raises SourceError if the machine has no lists, or those of sources cannot be had.
    """
    if _targets([], "Sources", folder):
        return []
    return fresh_lists(folder, "Sources")[0]


def fresh_lists(folder: Path, kind: Kind) -> tuple[list[str], str]:
    """Options with which apt finds what the machine's entries serve now, and what was not reached.

    The lists of a machine are as old as its last `apt-get update`. These lie in a folder of ours,
    where they are brought once: nothing of the machine is changed.

    Args:
        folder: Where they are to lie.
        kind: Of binary packages, or of source packages.

    Returns:
        The options; and what apt said of an archive that did not answer, of which nobody can say
        that it has something no longer: empty where all did.

    Raises SourceError if the machine has no lists, or none can be had.
    """
    own = folder / f"apt-{kind}"
    lists = [
        f"-oDir::Etc::sourcelist={own / 'none'}",
        f"-oDir::Etc::sourceparts={own / 'parts'}",
        f"-oDir::State::Lists={own / 'lists'}",
        f"-oDir::Cache={own / 'cache'}",
        "-oAPT::Sandbox::User=root",  # who has no right to this folder
    ]
    said = own / "said"
    if not said.exists():
        entries = {line.rpartition(":")[0] for line in _targets([], "Packages", folder)}
        for name in ("parts", "lists/partial", "cache/archives/partial"):
            (own / name).mkdir(parents=True, exist_ok=True)
        for number, entry in enumerate(sorted(entries)):
            text = Path(entry).read_text("utf-8", "replace")
            text = _for_sources(text) if kind == "Sources" else text
            (own / "parts" / f"{number}{Path(entry).suffix}").write_text(text, "utf-8")
        done = apt_get(["--quiet", *lists, "update"], folder)
        if not _targets(lists, kind, folder):
            reason = complaint(done.stderr, "E: ") if entries else "it has no package lists either"
            what = "source packages" if kind == "Sources" else "packages"
            raise SourceError(
                f"this machine has no lists of {what} and could not have them: {reason};"
                " run `apt-get update`, or add an entry to its sources"
            )
        missed = _UNREACHED.search(done.stderr)
        said.write_text(complaint(missed[0], missed[1]) if missed else "", "utf-8")
    return lists, said.read_text("utf-8")


def listed(folder: Path, kind: Kind, packages: Sequence[str]) -> list[dict[str, str]]:
    """What apt's fresh lists say of all versions of packages, the newest of each first.

    Of a source package `Checksums-Sha256` tells its files, of a binary one `SHA256` its archive.

    Raises SourceError if there are no lists, or an archive that did not answer may have a package.
    """
    lists, missed = fresh_lists(folder, kind)
    if not (folder / f"apt-{kind}" / "cache" / "pkgcache.bin").exists():  # which saves seconds each
        run_client(["apt-cache", *lists, "gencaches"], folder, _ENVIRONMENT)
    asks = "show" if kind == "Packages" else "showsrc"
    done = run_client(["apt-cache", *lists, asks, "--", *packages], folder, _ENVIRONMENT)
    found = [_fields(part) for part in done.stdout.split("\n\n") if part.strip()]
    lacking = set(packages) - {each.get("Package", "") for each in found}
    if lacking and missed:
        raise SourceError(f"an archive did not answer: {missed}")
    return found


def _fields(text: str) -> dict[str, str]:
    """The fields of a control paragraph (deb-control(5)), each with its lines."""
    lines = re.split(r"\n(?=\S)", text.strip("\n"))
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def served_sources(naming: Naming, pin: Pin, folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """sha256 of each pinned archive that is served, and the newest version of each package.

    Raises SourceError if nobody can be asked.
    """
    asked = list(dict.fromkeys(split_name(file.name)[0] for file in pin.files))
    for package in asked:
        naming.require(package, None)
    sums: dict[tuple[str, str, str], str] = {}
    newest: dict[str, str] = {}
    for each in listed(folder, "Sources", asked):
        package, version = each.get("Package", ""), each.get("Version", "")
        newest.setdefault(package, version)
        for line in each.get("Checksums-Sha256", "").splitlines():
            sha256, _, name = line.split()
            sums[package, version, name] = sha256
    names = {file.name: split_name(file.name) for file in pin.files}
    return {name: sums[each] for name, each in names.items() if each in sums}, newest


def _targets(lists: Sequence[str], kind: str, folder: Path) -> list[str]:
    """FILE:NUMBER of the entry behind each index of a kind that apt has at hand."""
    command = [*lists, "indextargets", "--format", "$(SOURCESENTRY)", f"Created-By: {kind}"]
    return apt_get(command, folder).stdout.split()


def _for_sources(text: str) -> str:
    """A sources.list, in either of its forms (sources.list(5)), with each deb as deb-src."""
    lines = re.sub(r"^[ \t]*deb(?=[ \t])", "deb-src", text, flags=re.MULTILINE)
    return re.sub(r"^Types:.*$", "Types: deb-src", lines, flags=re.MULTILINE)


def folder_of(path: str, name: str) -> str | None:
    """The folder that all members of an archive lie in, as far as the first `TOLD` of them tell."""
    tops = set()
    try:
        for member in islice(_members(path, name, Limits()), TOLD):
            top, inside, _ = member.path.partition("/")
            tops.add(top if inside and not is_unsafe(member.path) else "")
            if len(tops) > 1:
                return None
    except (UnpackError, *BROKEN):
        pass  # `read` says what is wrong with it
    return tops.pop() or None if tops else None


def source_members(path: str, name: str, limits: Limits, top: str | None) -> Iterator[Member]:
    """The files of an archive, named as dpkg-source would unpack them.

    Args:
        path: Of the archive.
        name: Its pinned name.
        limits: How much may come out.
        top: The folder that all lie in, which tells a version and is taken off.
    """
    members = _members(path, name, limits)
    part = _ARCHIVE.search(split_name(name)[2])
    under = part["part"] if part else None
    for member in below(members, top) if top else members:
        inside = f"{under}/{member.path}" if under else member.path
        yield member if is_unsafe(member.path) else replace(member, path=inside)


def _members(path: str, name: str, limits: Limits) -> Iterator[Member]:
    compression, plain = compression_of(name)
    if not plain.endswith(".tar"):
        reason = f"archive packed as .{name.rpartition('.')[2]}, which is not read"
        raise UnpackError(reason, 0)
    with Path(path).open("rb") as file:
        yield from tar_members(file, compression, limits)
