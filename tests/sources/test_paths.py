"""Paths are what the user typed: files, folders, globs, addresses, and what stands beside data."""

from __future__ import annotations

import gzip
import json
import logging
import os
import zipfile
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phloem.sources.clients import paths
from phloem.sources.connector import Fault, SourceError
from phloem.sources.connectors import files
from phloem.sources.formats import folders
from phloem.sources.formats.formats import Format, compression, format_of
from phloem.sources.limits import Limits


def line(text: str) -> str:
    return json.dumps({"text": text}, ensure_ascii=False) + "\n"


def put(folder: Path, *names: str) -> None:
    """Files of one record each, which holds the file's name."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(line(name), encoding="utf-8")


def texts(path: Any, folder: Path, **params: Any) -> list[str]:
    """The texts that the connector reads of a path."""
    given = files.Params(path=path, **params)
    pin = files.resolve(given)
    found = files.fetch(given, pin, folder)
    read: list[str] = []
    for split in files.splits(given, pin, found):
        for batch in files.read(given, split, found, Limits()):
            assert not isinstance(batch, Fault), batch
            read += [content.decode() for content in batch["content"].to_pylist()]
    return sorted(read)


def refusal(path: Any, folder: Path) -> str:
    with pytest.raises(SourceError) as caught:
        texts(path, folder)
    return str(caught.value)


# What is there is read as it is -------------------------------------------------------------------
@pytest.mark.parametrize(
    "name",
    ["a[1].jsonl", "a*.jsonl", "a?.jsonl", "a::b.jsonl", "[!a].jsonl", "~a.jsonl", "a\nb.jsonl"],
)
def test_a_file_that_is_there_is_read_whatever_its_name_could_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    put(tmp_path, name, "a1.jsonl", "ab.jsonl", "x.jsonl")
    assert texts(str(tmp_path / name), tmp_path) == [name]
    monkeypatch.chdir(tmp_path)
    assert texts(name, tmp_path) == [name]


def test_a_folder_that_is_there_is_no_pattern_though_one_follows(tmp_path: Path) -> None:
    put(tmp_path, "run[2]/a.jsonl", "run2/b.jsonl")
    assert texts(str(tmp_path / "run[2]"), tmp_path) == ["run[2]/a.jsonl"]
    assert texts(str(tmp_path / "run[2]" / "*.jsonl"), tmp_path) == ["run[2]/a.jsonl"]
    assert texts(str(tmp_path / "run[2-3]" / "*.jsonl"), tmp_path) == ["run2/b.jsonl"]


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores that stand for those of others."""
    monkeypatch.setattr(paths, "STORES", ("memory", "away", "nosuch"))


@pytest.mark.usefixtures("stores")
def test_a_remote_path_that_is_there_is_read_as_it_is(tmp_path: Path) -> None:
    root = f"memory://{tmp_path.as_posix().strip('/')}"
    for name in ("a[1].jsonl", "a1.jsonl"):
        with fsspec.open(f"{root}/{name}", "w", expand=False) as file:
            file.write(line(name))
    assert texts(f"{root}/a[1].jsonl", tmp_path) == ["a[1].jsonl"]
    assert texts(f"{root}/a[1-2].jsonl", tmp_path) == ["a1.jsonl"]


@pytest.mark.parametrize("kind", ["pipe", "device", "lost link", "link in a circle"])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.jsonl"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/null")
    else:
        path.symlink_to("nowhere" if kind == "lost link" else path.name)
    told = "leads nowhere" if "link" in kind else "is no file but a pipe or device"
    assert f"{path} {told}" in refusal(str(path), tmp_path)


# Folders ------------------------------------------------------------------------------------------
BESIDE = [
    "_SUCCESS", ".part-0.jsonl.crc", "_metadata", "_committed_17", "part-0.jsonl.md5", "a.sha256",
    "SHA256SUMS", "md5sum.txt", "LICENSE", "LICENSE-MIT", "licence.txt", "README.md", "README",
    "readme.zh.md", ".gitattributes", "COPYING", "NOTICE", "CITATION.cff", "CHANGELOG.md",
    "dataset_infos.json", "a.lock", "Thumbs.db", "part-0.jsonl.asc",
]  # fmt: skip
FOLDERS = [".git/config.txt", "_temporary/0/part-0.jsonl", "__MACOSX/a.jsonl", ".cache/b.jsonl"]
DATA = ["part-0.jsonl", "lang=fr/part-0.jsonl", "_y=1/part-0.jsonl", "a/b/c.jsonl", "readme.jsonl"]


def test_folders_are_walked_and_what_stands_beside_data_is_told_in_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, *BESIDE, *FOLDERS, *DATA)
    with caplog.at_level(logging.WARNING):
        assert texts(str(tmp_path), tmp_path) == sorted(DATA)
    (said,) = caplog.messages
    assert said.startswith(f"passed over in {tmp_path}/: .cache/, .git/, .gitattributes, ")
    assert said.endswith(f" and {len(BESIDE) + len(FOLDERS) - folders.TOLD} more")
    assert all(folders.chosen("", [name], lambda _: b"") == ([], [name]) for name in BESIDE)
    caplog.clear()
    assert texts(str(tmp_path / "README.md"), tmp_path, format="jsonl") == ["README.md"]
    assert caplog.messages == []


def test_a_folder_of_nothing_but_what_is_passed_over_says_so(tmp_path: Path) -> None:
    put(tmp_path, "only/README.md", "only/_SUCCESS")
    told = f"no file matches {tmp_path}/only; passed over in {tmp_path}/only/: README.md, _SUCCESS"
    assert refusal(str(tmp_path / "only"), tmp_path) == told
    (tmp_path / "none").mkdir()
    assert refusal(str(tmp_path / "none"), tmp_path) == f"no file matches {tmp_path}/none"


def test_files_of_no_known_ending_are_refused_by_name_and_number(tmp_path: Path) -> None:
    put(tmp_path, "a.jsonl", "b.docx", "c.xlsx", "d.pdf")
    told = refusal(str(tmp_path), tmp_path)
    assert told.startswith("b.docx: the format cannot be told")
    assert told.endswith("; so with 2 more")


def test_globs_pass_over_hidden_files_and_markers_unless_they_name_them(tmp_path: Path) -> None:
    put(tmp_path, "_SUCCESS", ".a.jsonl", "a.jsonl", "b/c.jsonl", "_tmp/d.jsonl", "README.md")
    at = f"{tmp_path}/"
    assert texts(f"{at}*.jsonl", tmp_path) == ["a.jsonl"]
    assert texts(f"{at}**/*.jsonl", tmp_path) == ["a.jsonl", "b/c.jsonl"]
    assert texts(f"{at}.*.jsonl", tmp_path) == [".a.jsonl"]
    assert texts(f"{at}_*/*.jsonl", tmp_path) == ["_tmp/d.jsonl"]
    assert texts(f"{at}*.md", tmp_path) == [line("README.md")]
    assert texts(f"{at}*", tmp_path, format="jsonl") == ["README.md", "a.jsonl", "b/c.jsonl"]


@pytest.mark.parametrize("pattern", ["", "**/*.jsonl", "**"])
def test_links_are_followed_and_those_in_a_circle_end(tmp_path: Path, pattern: str) -> None:
    put(tmp_path, "top/a/x.jsonl", "top/z/y.jsonl", "far/f.jsonl")
    for number in range(4):  # each doubles the paths of a walk that enters links blindly
        (tmp_path / "top" / "a" / f"up{number}").symlink_to("..")
        (tmp_path / "top" / "z" / f"up{number}").symlink_to(tmp_path / "top")
    (tmp_path / "top" / "0").symlink_to(tmp_path / "far")
    (tmp_path / "top" / "1.jsonl").symlink_to("a/x.jsonl")
    (tmp_path / "top" / "2.jsonl").symlink_to("1.jsonl")
    os.link(tmp_path / "far" / "f.jsonl", tmp_path / "far" / "g.jsonl")  # a file of its own
    path = str(tmp_path / "top" / pattern)
    found = ["far/f.jsonl", "far/f.jsonl", "top/a/x.jsonl", "top/z/y.jsonl"]
    assert texts(path, tmp_path) == found
    names = [file.name for file in files.resolve(files.Params(path=path)).files]
    assert names == ["0/f.jsonl", "0/g.jsonl", "a/x.jsonl", "z/y.jsonl"]


def test_a_link_to_nothing_below_a_folder_is_refused_by_name(tmp_path: Path) -> None:
    put(tmp_path, "a.jsonl", "b/c.txt")
    (tmp_path / "b" / "lost.jsonl").symlink_to("/nowhere")
    told = f"{tmp_path}: 1 link leads nowhere: b/lost.jsonl"
    assert refusal(str(tmp_path), tmp_path) == told
    assert "1 link leads nowhere" in refusal(f"{tmp_path}/**/*.jsonl", tmp_path)
    assert texts(f"{tmp_path}/**/*.txt", tmp_path) == [line("b/c.txt")]


def test_a_folder_that_may_not_be_listed_is_an_error_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.jsonl", "shut/b.jsonl")
    scandir = os.scandir

    def shut(path: Any) -> Any:
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", shut)
    for path in ("", "/*/*.jsonl", "/**/*.jsonl", "/s*"):
        told = f"{tmp_path}{path} cannot be listed: PermissionError: Permission denied"
        assert refusal(f"{tmp_path}{path}", tmp_path) == told
    assert texts(f"{tmp_path}/*.jsonl", tmp_path) == ["a.jsonl"]
    assert texts(f"{tmp_path}/[!s]*", tmp_path) == ["a.jsonl"]


def test_a_cache_of_the_hub_is_read_through_its_links_once(tmp_path: Path) -> None:
    put(tmp_path, "datasets--o--n/blobs/0a1b", "datasets--o--n/refs/main")
    for commit in ("c1", "c2"):
        folder = tmp_path / "datasets--o--n" / "snapshots" / commit / "data"
        folder.mkdir(parents=True)
        (folder / "train.jsonl").symlink_to("../../../blobs/0a1b")
    assert texts(str(tmp_path), tmp_path) == ["datasets--o--n/blobs/0a1b"]
    snapshot = tmp_path / "datasets--o--n" / "snapshots" / "c2"
    assert texts(str(snapshot), tmp_path) == ["datasets--o--n/blobs/0a1b"]


@pytest.mark.usefixtures("stores")
def test_a_remote_folder_is_walked_as_one_of_this_machine(tmp_path: Path) -> None:
    root = tmp_path.as_posix().strip("/")
    for name in (*BESIDE, *FOLDERS, *DATA):
        with fsspec.open(f"memory://{root}/{name}", "w") as file:
            file.write(line(name))
    assert texts(f"memory://{root}", tmp_path) == sorted(DATA)
    params = files.Params(path=f"memory://{root}/*/*/*.jsonl")
    assert [file.name for file in files.resolve(params).files] == ["a/b/c.jsonl"]


# Datasets of `datasets` ---------------------------------------------------------------------------
def saved(folder: Path, *names: str) -> None:
    """A folder as `Dataset.save_to_disk` makes it."""
    folder.mkdir(parents=True)
    for name in names:
        table = pa.table({"text": [f"{folder.name} {name}"]})
        with pa.ipc.new_stream(str(folder / name), table.schema) as writer:
            writer.write_table(table)
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "0"}
    (folder / "state.json").write_text(json.dumps(state, indent=2), encoding="utf-8")
    (folder / "dataset_info.json").write_text("{}", encoding="utf-8")


def test_a_saved_dataset_is_read_by_what_it_names(tmp_path: Path) -> None:
    saved(tmp_path / "d", "data-00000-of-00002.arrow", "data-00001-of-00002.arrow")
    put(tmp_path, "d/cache-17.arrow", "e.jsonl")
    of_d = ["d data-00000-of-00002.arrow", "d data-00001-of-00002.arrow"]
    assert texts(str(tmp_path / "d"), tmp_path) == of_d
    assert texts(str(tmp_path), tmp_path) == [*of_d, "e.jsonl"]
    (tmp_path / "d" / "data-00001-of-00002.arrow").unlink()
    told = f"{tmp_path}/d is a saved dataset that is not whole: 1 file is missing: data-00001-of-"
    assert refusal(str(tmp_path / "d"), tmp_path).startswith(told)
    put(tmp_path, "d/indices.arrow", "d/data-00001-of-00002.arrow")
    files_of = '"_data_files": [{"filename": "data-00000-of-00002.arrow"}]'
    chosen = f'{{{files_of}, "_indices_data_files": [{{"filename": "indices.arrow"}}]}}'
    (tmp_path / "d" / "state.json").write_text(chosen, encoding="utf-8")
    assert "a saved dataset of chosen rows" in refusal(str(tmp_path / "d"), tmp_path)
    (tmp_path / "d" / "state.json").write_text(f"{{{files_of}}}", encoding="utf-8")
    assert texts(str(tmp_path / "d"), tmp_path) == of_d[:1]


@pytest.mark.parametrize(
    "description",
    [
        *("[", "5", "[]", "{}", "null", '"x"', '{"_data_files": null}', '{"_data_files": 5}'),
        *('{"_data_files": ["x"]}', '{"_data_files": [{}]}', '{"_data_files": [{"filename": 5}]}'),
        *('{"splits": 5, "_data_files": 5}', '{"splits": [5], "_data_files": 5}', "[" * 100_000),
        '{"_data_files": [], "_indices_data_files": 5, "splits": null}',
    ],
)
@pytest.mark.parametrize("name", ["state.json", "dataset_dict.json"])
def test_a_saved_dataset_whose_description_is_none_is_refused_in_a_line(
    tmp_path: Path, description: str, name: str
) -> None:
    saved(tmp_path / "d", "data-00000-of-00001.arrow")
    (tmp_path / "d" / name).write_text(description, encoding="utf-8")
    said = refusal(str(tmp_path / "d"), tmp_path)
    assert "description cannot be read" in said or "no file matches" in said


def test_a_path_of_no_name_is_refused_and_not_the_working_folder(tmp_path: Path) -> None:
    for path in ("", " "):
        assert refusal(path, tmp_path) == "a path is empty; give a path, glob or URL"


def test_a_saved_dataset_of_several_splits_asks_for_one(tmp_path: Path) -> None:
    for split in ("train", "test"):
        saved(tmp_path / "d" / split, "data-00000-of-00001.arrow")
    listed = tmp_path / "d" / "dataset_dict.json"
    listed.write_text('{"splits": ["train", "test"]}', encoding="utf-8")
    told = (
        f"{tmp_path}/d holds the splits train, test of a dataset: give one of them, such as"
        f" {tmp_path}/d/train"
    )
    assert refusal(str(tmp_path / "d"), tmp_path) == told
    assert refusal(str(tmp_path), tmp_path) == told
    train, test = (f"{split} data-00000-of-00001.arrow" for split in ("train", "test"))
    assert texts(str(tmp_path / "d" / "train"), tmp_path) == [train]
    assert texts(str(tmp_path / "d" / "*"), tmp_path) == [test, train]
    listed.write_text('{"splits": ["train"]}', encoding="utf-8")
    assert train in texts(str(tmp_path / "d"), tmp_path)


# Names --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("data.jsonl?download=true", ("jsonl", None)),
        ("data.jsonl.gz?download=true", ("jsonl", "gzip")),
        ("a/b.tgz?x=1", ("tar", "gzip")),
        ("a.csv.zst?raw", ("csv", "zstd")),
        ("d.parquet?sig=a.b&c=d/e", ("parquet", None)),
        ("download?file=data.jsonl.gz", ("jsonl", "gzip")),
        ("what.is?.jsonl", ("jsonl", None)),
        ("is it?.txt", ("txt", None)),
    ],
)
def test_the_query_of_an_address_does_not_hide_a_files_format(
    name: str, told: tuple[str, str | None]
) -> None:
    assert (format_of(Format(), name), compression(name)) == told


def test_a_file_saved_with_its_query_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz?download=true"
    path.write_bytes(gzip.compress(line("saved").encode()))
    assert texts(str(path), tmp_path) == ["saved"]
    assert texts(str(tmp_path), tmp_path) == ["saved"]


def test_an_address_names_its_file_without_the_query_unless_that_tells_two_apart() -> None:
    def names(*urls: str) -> list[str]:
        return list(paths.find(urls).places)

    at = "https://example.org/data"
    assert names(f"{at}/a.jsonl.gz?download=true") == ["a.jsonl.gz"]
    assert names(f"{at}/a.jsonl?v=1", f"{at}/b.jsonl?v=1") == ["a.jsonl", "b.jsonl"]
    assert names(f"{at}/a.jsonl?v=1", f"{at}/a.jsonl?v=2") == ["a.jsonl?v=1", "a.jsonl?v=2"]


@pytest.mark.parametrize("name", ["s.parquet.gz", "s.arrow.zst", "s.pq.bz2", "s.zip.xz"])
def test_tables_in_a_packed_stream_are_refused_by_name(tmp_path: Path, name: str) -> None:
    put(tmp_path, name)
    kind = {"pq": "parquet"}.get(name.split(".")[1], name.split(".")[1])
    told = refusal(str(tmp_path / name), tmp_path)
    assert told.startswith(f"{name}: {kind} is read as it lies and not out of ")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a.jsonl.lz4", "lz4"),
        ("a.csv.br", "brotli"),
        ("a.txt.Z", "compress"),
        ("a.jsonl.lzma?x=1", "lzma"),
        ("a.7z", "7-Zip"),
    ],
)
def test_packings_that_are_not_read_are_refused_by_name(
    tmp_path: Path, name: str, told: str
) -> None:
    (tmp_path / name).write_bytes(b"")
    for given in ({}, {"format": "jsonl"}):
        params = files.Params.model_validate({"path": str(tmp_path / name), **given})
        with pytest.raises(SourceError, match=f" is packed by {told}, which is not read; unpack"):
            files.resolve(params)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.csv"])
def test_two_columns_of_one_name_are_refused_by_name(tmp_path: Path, name: str) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    if name == "a.parquet":
        pq.write_table(table, tmp_path / name)
    elif name == "a.arrow":
        with pa.ipc.new_file(str(tmp_path / name), table.schema) as writer:
            writer.write_table(table)
    else:
        (tmp_path / name).write_text("text,text\na,b\n")
    told = f"{name} has 2 columns 'text', which may differ; rename one"
    assert refusal(str(tmp_path / name), tmp_path) == told
    if name == "a.csv":
        return
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as out:
        out.write(tmp_path / name, name)
    params = files.Params(path=str(tmp_path / "all.zip"))
    pin = files.resolve(params)
    found = files.fetch(params, pin, tmp_path)
    (split,) = files.splits(params, pin, found)
    (fault,) = files.read(params, split, found, Limits())
    assert isinstance(fault, Fault)
    assert (fault.file, fault.reason, fault.rest) == ("all.zip", f"all.zip/{told}", True)


class Away(fsspec.AbstractFileSystem):
    """A store whose client raises errors of its own."""

    protocol = "away"

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        if "there" in path:
            return {"name": path, "type": "file", "size": 1}
        raise LookupError("no credentials\nfor https://me:secret@example.org")

    def open(self, path: str, *_: Any, **__: Any) -> Any:
        raise RuntimeError(path) from LookupError("the network is away")


@pytest.mark.usefixtures("stores")
def test_whatever_a_store_raises_is_an_error_in_a_line(tmp_path: Path) -> None:
    fsspec.register_implementation("away", Away, clobber=True)
    told = "away://b/a.jsonl cannot be listed: LookupError: no credentials"
    assert refusal("away://b/a.jsonl", tmp_path) == told
    told = "cannot be read: LookupError: the network is away"
    assert refusal("away://b/there.jsonl", tmp_path) == f"away://b/there.jsonl {told}"
    assert "cannot be listed: " in refusal("nosuch://b/a.jsonl", tmp_path)


def test_a_name_that_is_not_utf8_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "caf\udce9.jsonl").write_text(line("x"), encoding="utf-8")
    told = "the name caf\\udce9.jsonl is not UTF-8, and no record can hold it; rename it"
    assert refusal(str(tmp_path), tmp_path) == told
