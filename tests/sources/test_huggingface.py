"""The connector for datasets of the Hub, against a host that speaks its interface."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from web_host import Handler, Host, Page, cut, no_waits, running

from phloem.sources.clients import hub, hub_api
from phloem.sources.clients.standing import standing
from phloem.sources.connector import Fault, GoneError, SourceError
from phloem.sources.connectors import huggingface
from phloem.sources.limits import Limits

COMMIT = "4a4e5de1af7b1e3c3a1ab26b0a9d5c3a4f3e2b11"
NAME = "masakhane/hadithi"
TEXTS = ["Wote wamezaliwa huru.", "سماء", "सभी मनुष्य", "ทุกคน", "人人", "🌍"]


def parquet(texts: list[str], **named: Any) -> bytes:
    out = io.BytesIO()
    table = pa.table({"text": texts, "id": [f"n{n}" for n in range(len(texts))]})
    pq.write_table(table, out, row_group_size=2, **named)
    return out.getvalue()


SW = parquet(TEXTS[:3])
HI = parquet(TEXTS[3:])
TREE = {
    "README.md": b"---\n---\n",
    ".gitattributes": b"*.parquet filter=lfs\n",
    "sw/train-00000-of-00001.parquet": SW,
    "sw/test-00000-of-00001.parquet": parquet(["held out"]),
    "hi/train.parquet": HI,
    "hi/more.jsonl": json.dumps({"text": "more", "id": "m"}).encode() + b"\n",
}
CONFIGS = [
    {
        "config_name": "sw",
        "data_files": [
            {"split": "train", "path": "sw/train-*"},
            {"split": "test", "path": ["sw/test-*"]},
        ],
    },
    {"config_name": "hi", "data_files": "hi/*", "default": True},
]


def info(card: Mapping[str, Any], tree: Mapping[str, bytes], gated: Any = False) -> bytes:
    """What `/api/datasets/OWNER/NAME` answers, with the keys that the Hub gives."""
    value = {
        "_id": "621ffdd236468d709f181d5e",
        "id": NAME,
        "author": "masakhane",
        "sha": COMMIT,
        "lastModified": "2026-03-01T10:11:12.000Z",
        "private": False,
        "gated": gated,
        "disabled": False,
        "tags": ["language:sw", "region:us"],
        "downloads": 17,
        "likes": 3,
        "cardData": dict(card),
        "siblings": [{"rfilename": path} for path in tree],
        "createdAt": "2025-03-02T23:29:22.000Z",
    }
    return json.dumps(value).encode()


def entries(tree: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """What `/tree/COMMIT?recursive=true` answers: Parquet lies in the large store."""
    found: list[dict[str, Any]] = [
        {"type": "directory", "oid": "0" * 40, "size": 0, "path": folder}
        for folder in sorted({path.rpartition("/")[0] for path in tree} - {""})
    ]
    for path, content in tree.items():
        entry = {"type": "file", "oid": "1" * 40, "size": len(content), "path": path}
        if path.endswith(".parquet"):
            sha256 = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 131}
            entry["xetHash"] = "2" * 64
        found.append(entry)
    return found


def serve(
    host: Host,
    tree: Mapping[str, bytes] = TREE,
    configs: Any = CONFIGS,
    *,
    page: int = 3,
    revision: str = COMMIT,
) -> None:
    """A repository, its tree in pages as the Hub gives large ones."""
    card = {"license": "cc-by-4.0", "language": ["sw", "hi"]}
    api = f"/api/datasets/{NAME}"
    told = {**card, "configs": configs} if configs else card
    host.pages[api] = Page(info(told, tree), headers={"Content-Type": "application/json"})
    host.pages[f"{api}/revision/{quote(revision, safe='')}"] = host.pages[api]
    found = entries(tree)

    def paged(handler: Handler) -> None:
        start = int(handler.path.partition("cursor=")[2].partition("&")[0] or 0)
        headers = {"Content-Type": "application/json"}
        if start + page < len(found):
            following = f"{host.address}{api}/tree/{COMMIT}?recursive=true&cursor={start + page}"
            headers["Link"] = f'<{following}>; rel="next"'
        handler.give(Page(json.dumps(found[start : start + page]).encode(), headers=headers))

    host.pages[f"{api}/tree/{COMMIT}"] = paged
    for path, content in tree.items():
        stored = f"/store/{hashlib.sha256(content).hexdigest()}"
        moved = {"Location": f"{stored}?Signature=secret", "X-Repo-Commit": COMMIT}
        host.pages[stored] = Page(content)
        resolved = f"/datasets/{NAME}/resolve/{COMMIT}/{path}"
        if path.endswith(".parquet"):
            host.pages[resolved] = Page(status=302, headers=moved)
        else:
            host.pages[resolved] = Page(content)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Host]:
    with running(monkeypatch) as found:
        monkeypatch.setenv("HF_ENDPOINT", found.address)
        monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
        yield found


def read_all(params: huggingface.Params, folder: Path) -> tuple[list[dict[str, Any]], list[Fault]]:
    pin = huggingface.resolve(params)
    fetched = huggingface.fetch(params, pin, folder)
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    for split in huggingface.splits(params, pin, fetched):
        for found in huggingface.read(params, split, fetched, Limits()):
            if isinstance(found, Fault):
                faults.append(found)
            else:
                rows += found.to_pylist()
    return rows, faults


def test_dataset_is_pinned_at_its_commit_and_read_in_its_languages(
    host: Host, tmp_path: Path
) -> None:
    serve(host)
    params = huggingface.Params(dataset=NAME, configs={"sw": "sw", "hi": "hi"}, id_column="id")
    pin = huggingface.resolve(params)
    assert pin.version == COMMIT
    assert [(file.name, file.sha256, file.bytes) for file in pin.files] == [
        (
            "sw/sw/train-00000-of-00001.parquet",
            hashlib.sha256(SW).hexdigest(),
            len(SW),
        ),
        (
            "hi/hi/more.jsonl",
            hashlib.sha256(TREE["hi/more.jsonl"]).hexdigest(),
            len(TREE["hi/more.jsonl"]),
        ),
        ("hi/hi/train.parquet", hashlib.sha256(HI).hexdigest(), len(HI)),
    ]
    assert all(f"/resolve/{COMMIT}/" in str(file.url) for file in pin.files)
    rows, faults = read_all(params, tmp_path)
    assert faults == []
    assert sorted((r["content"].decode(), r["declared_language"]) for r in rows) == sorted(
        [*((text, "sw") for text in TEXTS[:3]), *((text, "hi") for text in [*TEXTS[3:], "more"])]
    )
    assert {row["native_id"] for row in rows} >= {"n0", "m"}
    assert huggingface.reach(params) == "network"
    assert huggingface.unavailable(params) is None


def test_dataset_without_configs_gives_its_default_and_names_hold_no_commit(
    host: Host, tmp_path: Path
) -> None:
    serve(host)
    rows, _ = read_all(huggingface.Params(dataset=NAME), tmp_path)
    assert {row["native_id"] for row in rows} == {
        "hi/hi/more.jsonl@0",
        *(f"hi/hi/train.parquet#{n}" for n in range(3)),
    }
    rows, _ = read_all(huggingface.Params(dataset=NAME, configs=["sw"], split="test"), tmp_path)
    assert [row["content"] for row in rows] == [b"held out"]


def test_dataset_of_a_split_a_language_gives_each_its_own(host: Host, tmp_path: Path) -> None:
    serve(host)
    params = huggingface.Params(
        dataset=NAME,
        configs=["sw"],
        split=["train", "test"],
        languages={"*/sw/test-*": "swh", "*/train-*": "sw"},
    )
    rows, _ = read_all(params, tmp_path)
    assert {(row["content"].decode(), row["declared_language"]) for row in rows} == {
        ("held out", "swh"),
        *((text, "sw") for text in TEXTS[:3]),
    }
    with pytest.raises(SourceError, match="no split 'tain' of sw; did you mean train"):
        huggingface.resolve(params.model_copy(update={"split": ["test", "tain"]}))


@pytest.mark.parametrize("revision", [COMMIT, "v1.0", "a/branch"])
def test_dataset_revision_is_locked_as_the_commit_that_it_names(
    host: Host, tmp_path: Path, revision: str
) -> None:
    serve(host, revision=revision)
    host.pages.pop(f"/api/datasets/{NAME}")
    params = huggingface.Params(dataset=NAME, configs=["sw"], revision=revision)
    pin = huggingface.resolve(params)
    assert pin.version == COMMIT
    assert huggingface.foreign(params, pin) == []
    assert len(read_all(params, tmp_path)[0]) == 3
    other = params.model_copy(update={"revision": "0" * 40})
    assert huggingface.foreign(other, pin) == [
        f"it is locked at {COMMIT}, and the card names {'0' * 40}"
    ]
    gone = Page(b"{}", status=404, headers={"X-Error-Code": "RevisionNotFound"})
    host.pages[f"/api/datasets/{NAME}/revision/v2"] = gone
    with pytest.raises(GoneError, match=f"has no dataset {NAME} at v2"):
        huggingface.resolve(params.model_copy(update={"revision": "v2"}))


@pytest.mark.parametrize("revision", ["", "../x", "a/../b", "a b", "--x", "a//b"])
def test_dataset_revision_that_is_none_is_refused(revision: str) -> None:
    with pytest.raises(ValidationError, match="revision"):
        huggingface.Params(dataset=NAME, revision=revision)


def test_dataset_copy_in_parquet_has_a_folder_a_configuration_and_split(
    host: Host, tmp_path: Path
) -> None:
    tree = {
        "sw/train/0000.parquet": SW,
        "sw/test/0000.parquet": parquet(["held out"]),
        "hi/partial-train/0000.parquet": HI,
        "hi/partial-train/0001.parquet": parquet(["more"]),
        ".gitattributes": b"",
    }
    serve(host, tree, None, revision=hub.CONVERTED)
    params = huggingface.Params(dataset=NAME, configs={"sw": "sw"}, revision=hub.CONVERTED)
    rows, _ = read_all(params, tmp_path)
    assert [row["content"].decode() for row in rows] == TEXTS[:3]
    with pytest.raises(SourceError, match=r"no split 'train' of hi; .*partial-train"):
        huggingface.resolve(params.model_copy(update={"configs": ["hi"]}))
    with pytest.raises(SourceError, match="several configurations; give `configs`, of hi, sw"):
        huggingface.resolve(params.model_copy(update={"configs": []}))


def test_dataset_of_lines_tables_and_columns_in_columns_is_read_as_files_are(
    host: Host, tmp_path: Path
) -> None:
    said = "Creative Commons - Attribution - https://creativecommons.org/licenses/by/4.0/"
    table = io.BytesIO()
    rows = [{"text": {"sw": text, "en": "x"}, "metadata": {"license": said}} for text in TEXTS]
    pq.write_table(pa.Table.from_pylist(rows), table)
    tree = {
        "train.txt": "".join(f"{text}\n" for text in TEXTS).encode(),
        "train.tsv": "".join(f"{n}\t{text}\n" for n, text in enumerate(TEXTS)).encode(),
        "nested/train.parquet": table.getvalue(),
    }
    for path, params, texts in (
        ("train.txt", {"documents": {"lines": 4}}, ["\n".join(TEXTS[:4]), "\n".join(TEXTS[4:])]),
        ("train.tsv", {"columns": ["n", "text"]}, TEXTS),
        (
            "nested/train.parquet",
            {"text_column": "text.sw", "license_column": "metadata.license"},
            TEXTS,
        ),
    ):
        serve(host, {path: tree[path]}, None)
        found, faults = read_all(huggingface.Params(dataset=NAME, **params), tmp_path)
        assert ([row["content"].decode() for row in found], faults) == (texts, [])
    assert {row["license"] for row in found} == {"CC-BY-4.0"}


def test_dataset_row_groups_are_read_in_parts(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(host)
    params = huggingface.Params(dataset=NAME, configs=["sw"])
    whole = read_all(params, tmp_path)
    monkeypatch.setattr("phloem.sources.formats.read_files.SPLIT_BYTES", 1)
    pin = huggingface.resolve(params)
    assert len(huggingface.splits(params, pin, huggingface.fetch(params, pin, tmp_path))) == 2
    assert read_all(params, tmp_path) == whole


def test_dataset_cut_on_the_way_goes_on(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(host)
    waits = no_waits(monkeypatch)
    stored = f"/store/{hashlib.sha256(SW).hexdigest()}"
    host.once[stored] = [cut(Page(SW), 100), Page(status=429, headers={"Retry-After": "2"})]
    rows, _ = read_all(huggingface.Params(dataset=NAME, configs=["sw"]), tmp_path)
    assert len(rows) == 3
    assert len(waits) == 2
    ranges = [h.get("Range") for path, h in host.asked if path.startswith(stored)]
    assert ranges == [None, "bytes=100-", "bytes=100-"]


def test_dataset_other_bytes_than_the_pin_are_never_read(host: Host, tmp_path: Path) -> None:
    serve(host)
    params = huggingface.Params(dataset=NAME, configs=["sw"])
    pin = huggingface.resolve(params)
    changed = bytearray(SW)
    changed[200] ^= 1
    host.pages[f"/store/{hashlib.sha256(SW).hexdigest()}"] = Page(bytes(changed))
    with pytest.raises(SourceError, match=r"train-00000-of-00001\.parquet has sha256 .* locked"):
        huggingface.fetch(params, pin, tmp_path)
    assert not (tmp_path / "000000").exists()


def test_dataset_file_or_commit_that_is_gone_is_told(host: Host, tmp_path: Path) -> None:
    serve(host)
    params = huggingface.Params(dataset=NAME, configs=["sw"])
    pin = huggingface.resolve(params)
    host.pages.pop(f"/datasets/{NAME}/resolve/{COMMIT}/sw/train-00000-of-00001.parquet")
    with pytest.raises(GoneError, match="not there any more"):
        huggingface.fetch(params, pin, tmp_path)


def test_dataset_stands_by_the_hashes_that_the_hub_tells(host: Host, tmp_path: Path) -> None:
    serve(host)
    params = huggingface.Params(dataset=NAME, configs=["sw"])
    pin = huggingface.resolve(params)
    asked = len(host.asked)
    assert standing(huggingface, params, pin, tmp_path).state == "ok"
    assert not any("/resolve/" in path for path, _ in host.asked[asked:])
    old = replace(pin, files=tuple(replace(file, sha256="0" * 64) for file in pin.files))
    assert standing(huggingface, params, old, tmp_path).state == "changed"
    host.pages.clear()
    became = standing(huggingface, params, pin, tmp_path)
    assert became.state == "vanished"
    assert f"has no dataset {NAME}" in became.reason


@pytest.mark.parametrize(
    ("status", "code", "error", "said"),
    [
        (401, "RepoNotFound", GoneError, "has no dataset"),
        (404, "RepoNotFound", GoneError, "has no dataset"),
        (403, "GatedRepo", SourceError, "HF_TOKEN"),
        (401, "GatedRepo", SourceError, "agreed to its terms on its page"),
        (429, "", SourceError, "answers 429"),
        (500, "", SourceError, "answers 500"),
    ],
)
def test_hub_that_refuses_is_told_with_what_to_do(
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    code: str,
    error: type[Exception],
    said: str,
) -> None:
    no_waits(monkeypatch)
    headers = {"X-Error-Code": code} if code else {}
    host.pages[f"/api/datasets/{NAME}"] = Page(b"{}", status=status, headers=headers)
    with pytest.raises(error, match=said):
        huggingface.resolve(huggingface.Params(dataset=NAME))


def test_hub_out_of_reach_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(SourceError, match="cannot be asked for masakhane/hadithi"):
        huggingface.resolve(huggingface.Params(dataset=NAME))


def test_gated_files_ask_for_a_token_and_it_goes_to_the_hub_alone(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(host)
    params = huggingface.Params(dataset=NAME, configs=["sw"])
    pin = huggingface.resolve(params)
    path = f"/datasets/{NAME}/resolve/{COMMIT}/sw/train-00000-of-00001.parquet"
    moved = host.pages[path]
    host.pages[path] = Page(status=401, headers={"X-Error-Code": "GatedRepo"})
    said = f"set HF_TOKEN to a token of that account, which is shown to {host.address} and to no"
    with pytest.raises(SourceError, match=said):
        huggingface.fetch(params, pin, tmp_path)
    assert isinstance(moved, Page)
    far = host.address.replace("127.0.0.1", "localhost")
    host.pages[path] = Page(status=302, headers={"Location": far + moved.headers["Location"]})
    monkeypatch.setattr(huggingface, "HOSTS", ["localhost"])
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_secret")
    host.asked.clear()
    huggingface.fetch(params, pin, tmp_path)
    sent = {path.partition("?")[0]: headers.get("Authorization") for path, headers in host.asked}
    assert sent[path] == "Bearer hf_secret"
    assert sent[f"/store/{hashlib.sha256(SW).hexdigest()}"] is None


@pytest.mark.parametrize(
    ("path", "page", "said"),
    [
        ("", Page(b"not JSON"), "answers what is no JSON"),
        ("", Page(b"[" * 100_000), "answers what is no JSON"),
        ("", Page(b"[]"), "names no commit"),
        ("", Page(b'{"sha": "../../x"}'), "names no commit"),
        (f"/tree/{COMMIT}", Page(b'{"a": 1}'), "in a form of its own"),
        (f"/tree/{COMMIT}", Page(b'[{"type": "file"}]'), "in a form of its own"),
        (
            f"/tree/{COMMIT}",
            Page(b'[{"type": "file", "path": "a", "lfs": {"oid": "../../x", "size": 1}}]'),
            "in a form of its own",
        ),
        (
            f"/tree/{COMMIT}",
            Page(b"[]", headers={"Link": '<https://evil.example/x>; rel="next"'}),
            "leads to another host",
        ),
        ("", Page(status=302, headers={"Location": "http://localhost:1/x"}), "redirects to local"),
        ("", Page(status=302, headers={"Location": "http://10.0.0.1/x"}), "redirects to 10"),
    ],
)
def test_hub_that_answers_what_it_should_not_is_told_in_a_line_and_shows_no_token(
    host: Host, monkeypatch: pytest.MonkeyPatch, path: str, page: Page, said: str
) -> None:
    serve(host)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_secret")
    host.pages[f"/api/datasets/{NAME}{path}"] = page
    with pytest.raises(SourceError, match=said) as error:
        huggingface.resolve(huggingface.Params(dataset=NAME))
    assert "\n" not in str(error.value)
    assert "hf_secret" not in str(error.value)


def test_pages_without_end_are_given_up(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(host)
    monkeypatch.setattr(hub_api, "MAX_FILES", 20)
    following = f'<{host.address}/api/datasets/{NAME}/tree/{COMMIT}?again>; rel="next"'
    listed = json.dumps(entries(TREE)).encode()
    host.pages[f"/api/datasets/{NAME}/tree/{COMMIT}"] = Page(listed, headers={"Link": following})
    with pytest.raises(SourceError, match="has more than 20 files"):
        huggingface.resolve(huggingface.Params(dataset=NAME))


def test_script_of_a_dataset_is_never_run(host: Host, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    script = f"open({str(trace)!r}, 'w')".encode()
    tree = {"README.md": b"", "hadithi.py": script, "data/a.jsonl": b'{"text": "x"}\n'}
    serve(host, tree, None)
    with pytest.raises(SourceError, match="a script of its own, which is never run"):
        huggingface.resolve(huggingface.Params(dataset=NAME))
    with pytest.raises(SourceError, match="a script of its own"):  # whatever is asked for
        huggingface.resolve(huggingface.Params(dataset=NAME, configs=["sw"]))
    serve(host, tree, [{"config_name": "default", "data_files": "data/*"}])
    rows, _ = read_all(huggingface.Params(dataset=NAME), tmp_path)
    assert [row["content"] for row in rows] == [b"x"]
    assert not trace.exists()
    with pytest.raises(ValidationError):
        huggingface.Params.model_validate({"dataset": NAME, "trust_remote_code": True})


@pytest.mark.parametrize(
    "pattern", ["/etc/passwd", "../../etc/*", "file:///etc/passwd", "https://x/*"]
)
def test_card_of_a_dataset_names_no_file_beside_its_own(host: Host, pattern: str) -> None:
    serve(host, TREE, [{"config_name": "default", "data_files": pattern}])
    with pytest.raises(SourceError, match="no file is in the split 'train'"):
        huggingface.resolve(huggingface.Params(dataset=NAME))


def test_configs_splits_and_formats_that_are_not_there_are_told(host: Host) -> None:
    serve(host)
    for given, said in [
        ({"configs": ["hii"]}, "no configuration 'hii'; did you mean hi"),
        ({"configs": ["sw"], "split": "tain"}, "no split 'tain' of sw; did you mean train"),
    ]:
        with pytest.raises(SourceError, match=said):
            huggingface.resolve(huggingface.Params(dataset=NAME, **given))
    serve(host, TREE, [{"config_name": n, "data_files": "sw/*"} for n in ("a", "b")])
    with pytest.raises(SourceError, match="several configurations; give `configs`, of a, b"):
        huggingface.resolve(huggingface.Params(dataset=NAME))
    serve(host, {"a.png": b"x", "b.bin": b"x"}, None)
    with pytest.raises(SourceError, match=r"they end in \['\.bin', '\.png'\]"):
        huggingface.resolve(huggingface.Params(dataset=NAME))


@pytest.mark.parametrize("name", ["--option", "a/b/c", "../x", "https://example.org/x", "a b", ""])
def test_params_names_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        huggingface.Params(dataset=name)


def test_dataset_broken_files_are_faults(host: Host, tmp_path: Path) -> None:
    lines = b'{"text": "caf\xe9"}\n{"text": null}\nnot json\n'
    tree = {
        "a.parquet": SW[: len(SW) // 2],
        "b.jsonl": lines,
        "c.jsonl.gz": gzip.compress(lines * 2000)[:-20],
    }
    serve(host, tree, None)
    rows, faults = read_all(huggingface.Params(dataset=NAME), tmp_path)
    assert rows[0]["content"] == b"caf\xe9"
    assert {fault.reason for fault in faults} == {
        "broken Parquet",
        "null text",
        "not JSON",
        "truncated gzip",
    }


LAYOUTS: dict[str, tuple[list[str], Any]] = {
    "sharded": (["data/train-00000-of-00002.parquet", "data/dev-00000-of-00001.parquet"], None),
    "folders": (["train/a.parquet", "my-test/b.parquet", "other/c.parquet"], None),
    "names": (["sub/train_1.jsonl", "x-dev.jsonl", "other.jsonl", "evaluation.csv"], None),
    "none": (["a.jsonl", "b/c.jsonl", ".hidden/x.jsonl", "__pycache__/y.jsonl"], None),
    "globs": (["fr/a.jsonl", "fr/b/c.jsonl", "en/a.jsonl"], {"data_files": "fr/*.jsonl"}),
    "deep": (["fr/a.jsonl", "fr/b/c.jsonl", "en/a.jsonl"], {"data_files": ["fr/**"]}),
    "splits": (
        ["a.jsonl", "b.jsonl", "c.jsonl"],
        {
            "data_files": [
                {"split": "train", "path": ["a.jsonl", "b.*"]},
                {"split": "x", "path": "c*"},
            ]
        },
    ),
    "folder": (["one/train.jsonl", "two/train.jsonl"], {"data_dir": "two"}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_data_files_are_those_that_the_library_takes(tmp_path: Path, layout: str) -> None:
    """The same files as `datasets` finds in a folder of the same names."""
    from datasets.data_files import DataFilesDict, get_data_patterns, sanitize_patterns

    paths, entry = LAYOUTS[layout]
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    base = str(tmp_path / (entry or {}).get("data_dir", ""))
    given = (entry or {}).get("data_files")
    patterns = sanitize_patterns(given) if given else get_data_patterns(base)
    expected = DataFilesDict.from_patterns(patterns, base_path=base)
    card = {"configs": [{"config_name": "default", **entry}]} if entry else {}
    for split, files in expected.items():
        taken = hub.data_files("o/n", card, [*paths, "README.md"], "default", str(split))
        assert taken == sorted(str(Path(file).relative_to(tmp_path)) for file in files)
