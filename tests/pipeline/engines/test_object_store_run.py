"""Whole runs with their root on an S3, sound or failing: the same bytes as on a local disk."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import fsspec
import psutil
import pytest
from faults import until, workers_of
from inline_engine import inline, job_of
from object_store import (
    DENIED,
    ERROR_500,
    KEY,
    SECRET,
    SLOW_DOWN,
    ObjectStore,
    after,
    cut_body,
    cut_upload,
    serving,
)
from tiny_workspace import change_recipe, digests, make_workspace, redone
from typer.testing import CliRunner, Result

from phloem.catalog.handoff.formats import FORMATS
from phloem.catalog.handoff.loader import ReleaseTokens
from phloem.catalog.released import load_release
from phloem.catalog.store import Store
from phloem.catalog.verify import verify_release
from phloem.pipeline import run as running
from phloem.pipeline.cli.app import app
from phloem.pipeline.job import Made, steps
from phloem.pipeline.recipe import Dedup
from phloem.pipeline.stage import made
from phloem.pipeline.stages import run_task

Ran = tuple[str, dict[str, Any]]
ALWAYS = 10_000
ONE_LINE = re.compile(r"error: .*s3://.*: .*; see to the connection, .*\n")


def phloem(*arguments: str) -> Result:
    """A command in this process, in a wide terminal."""
    return CliRunner(env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"}).invoke(app, arguments)


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, whose workers are processes too."""
    return subprocess.run(
        [sys.executable, "-m", "phloem.pipeline.cli", *arguments],
        env={**os.environ, "PYTHONSAFEPATH": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def newest(root: str) -> dict[str, Any]:
    """The record of the newest run."""
    store = Store(root)
    record: dict[str, Any] = json.loads(store.read_bytes(store.list("runs")[-1]))
    return record


def kept(root: str) -> list[bytes]:
    """All small files of a root that no worker computes."""
    store = Store(root)
    folders = ("runs", "failures", "reports", "records", "datasets", "releases")
    names = [store.path(folder) for folder in folders if store.exists(folder)]
    return [store.fs.cat_file(name) for folder in names for name in store.fs.find(folder)]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A server, a workspace as the working folder, and runs that start no worker."""
    models = Path(os.environ.get("PHLOEM_MODELS", ".venv/models")).resolve()
    once = {"config_kwargs": {"retries": {"total_max_attempts": 2}}}
    with serving() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHLOEM_MODELS", str(models))
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("copies")))
        patch.setattr("tempfile.tempdir", os.environ["TMPDIR"])
        patch.setitem(fsspec.config.conf, "s3", once)
        folder = make_workspace(tmp_path_factory.mktemp("s3") / "workspace")
        change_recipe(folder, "bands: 14", "bands: 3")  # each is some ten requests
        patch.chdir(folder)
        patch.setattr(running, "open_pool", inline)
        yield server


@pytest.fixture(autouse=True)
def _sound(s3: ObjectStore) -> Iterator[None]:
    yield
    s3.faults.clear()


def ran(root: str) -> Ran:
    """The root and record of a run that ended well."""
    result = phloem("run", "tiny", "--root", root, "--workers", "1")
    assert result.exit_code == 0, result.output
    return root, newest(root)


@pytest.fixture(scope="module")
def here(s3: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A run with its root on a local disk."""
    return ran(str(tmp_path_factory.mktemp("local") / "root"))


@pytest.fixture(scope="module")
def there(s3: ObjectStore) -> Ran:
    """The same with its root on S3."""
    return ran(s3.root())


def test_run_on_s3_makes_the_same_datasets_and_release(here: Ran, there: Ran) -> None:
    assert digests(there[0], there[1]) == digests(here[0], here[1])
    assert there[1]["release"] == here[1]["release"]
    releases = [load_release(Store(root), record["release"]) for root, record in (here, there)]
    assert releases[0] == releases[1]


def test_run_again_on_s3_does_nothing_again(s3: ObjectStore, there: Ran) -> None:
    s3.requests.clear()
    _, record = ran(there[0])
    assert redone(record) == {}
    assert record["datasets"] == there[1]["datasets"]
    written = {path.split("/")[3] for method, path in s3.requests if method == "PUT"}
    assert "runs" in written
    assert not written & set(there[1]["datasets"])


def test_dedup_fetches_each_file_once(s3: ObjectStore, there: Ran) -> None:
    """However many text files the rows of a component stand in: none is opened for each of them."""
    store, job = Store(there[0]), job_of(Path.cwd(), there[0])
    job = replace(job, recipe=job.recipe.model_copy(update={"dedup": Dedup(bands=56, rows=2)}))
    found: Made = {}
    going = steps(job, store, found)
    step = next(going)
    while step.stage != "dedup":
        step = going.send([made(store, task) or run_task(store, task) for task in step.tasks])
    s3.sent.clear()
    for task in step.tasks:
        run_task(store, task)
    wanted = {ref.path: ref.bytes for task in step.tasks for ref in task.inputs}
    fetched = {path: size for path, size in s3.sent.items() if size and "/dedup/" not in path}
    assert found["candidates"][0].facts["candidates"] > 0
    assert len(found["clean"]) > 1
    assert sum(fetched.values()) <= 1.5 * sum(wanted.values())
    assert any("minhash" in path for path in fetched)
    assert any("text.arrow" in path for path in fetched)


def test_commands_say_the_same_of_both_roots(here: Ran, there: Ran) -> None:
    name = here[1]["release"]
    sql = "select * from decisions order by id"
    document = json.loads(phloem("catalog", "query", sql, "--root", here[0], "--json").output)[0]
    for command in (
        ("plan", "tiny", "--json"),
        ("catalog", "query", sql, "--json"),
        ("catalog", "query", "select * from measures order by all", "--json"),
        ("catalog", "query", "select * exclude (run_id) from sources order by all", "--json"),
        ("catalog", "datasets", "--json"),
        ("explain", document["id"], "--excerpt"),
        ("release", "list", "--json"),
        ("release", "verify", name),
    ):
        told = []
        for root, _ in (here, there):
            result = phloem(*command, "--root", root)
            assert result.exit_code == 0, result.output
            told.append(result.output.replace(newest(root)["run_id"], "RUN"))
        assert _without_disk(told[1]) == _without_disk(told[0])


def _without_disk(told: str) -> str:
    return re.sub(r'"disk_free": \S+', "", told)


def test_report_is_written_to_s3_with_the_same_sections(here: Ran, there: Ran) -> None:
    titles = []
    for root, _ in (here, there):
        result = phloem("report", "--root", root)
        assert result.output == f"{root}/reports/{newest(root)['run_id']}/index.html\n"
        page = Store(root).read_bytes(result.output.strip().removeprefix(f"{root}/")).decode()
        titles.append(re.findall(r"<h2.*?</h2>", page, re.DOTALL))
    assert titles[0] == titles[1]
    assert len(titles[0]) > 5


def test_release_verify_finds_what_was_changed_on_s3(there: Ran) -> None:
    root, record = there
    store = Store(root)
    assert verify_release(store, record["release"]) == []
    manifest = json.loads(store.read_bytes(record["datasets"]["tokenize"]))
    shard = manifest["shards"][0]
    name = f"tokenize/{shard['key']}/tokens.arrow"
    data = store.read_bytes(name)
    store.write_bytes(name, bytes([data[0] ^ 1]) + data[1:])
    result = phloem("release", "verify", record["release"], "--root", root)
    store.write_bytes(name, data)
    assert result.exit_code == 1
    assert name in result.output


def test_loader_reads_the_same_tokens(here: Ran, there: Ran) -> None:
    read = []
    for root, record in (here, there):
        tokens = ReleaseTokens(Store(root), record["release"], sequence_length=16, seed=1)
        read.append([sample["tokens"].tolist() for sample in islice(tokens, 20)])
    assert read[0] == read[1]
    assert len({tuple(sequence) for sequence in read[0]}) > 1


@pytest.mark.parametrize("form", FORMATS)
def test_export_from_and_to_s3_gives_the_same_bytes(
    s3: ObjectStore, here: Ran, there: Ran, tmp_path: Path, form: str
) -> None:
    local, far = str(tmp_path / "out"), s3.root()
    for (root, record), out in ((here, local), (there, far)):
        asked = (record["release"], "--format", form, "--out", out, "--root", root)
        assert phloem("export", *asked).exit_code == 0
    for (_, record), (root, _), out in ((here, there, local), (there, here, far)):
        asked = (record["release"], "--export", out, "--root", root)
        result = phloem("release", "verify", *asked)
        assert result.output == f"{out}: whole, every token as released\n"
    names = [name.strip("/") for name in Store(far).list("")]
    assert names == sorted(path.name for path in Path(local).iterdir())
    assert all(Store(far).read_bytes(n) == Path(local, n).read_bytes() for n in names)
    again = phloem(
        "export", there[1]["release"], "--format", form, "--out", far, "--root", there[0]
    )
    assert (again.exit_code, again.stderr) == (
        1,
        f"error: {far} is not empty; name a new or an empty folder with --out\n",
    )


def test_run_through_faults_makes_the_same_bytes(s3: ObjectStore, here: Ran) -> None:
    kinds = [
        s3.fail("GET", r"/(ingest|clean)/", ERROR_500, 3, every=3),
        s3.fail("GET", r"/(text|hashes)", cut_body, 3, every=2),
        s3.fail("GET", r"\?list-type=", SLOW_DOWN, 3, every=5),
        s3.fail("PUT", "/clean/", ERROR_500, 2, every=2),
        s3.fail("PUT", "/decide/", SLOW_DOWN, 2, every=2),
        s3.fail("PUT", "/compose/", cut_upload, 2, every=2),
        s3.fail("GET", "/compose/", after(0.5, SLOW_DOWN), 2, every=2),
    ]
    root, record = ran(s3.root())
    assert digests(root, record) == digests(here[0], here[1])
    assert [planned.met == planned.times for planned in kinds] == [True] * len(kinds)


def test_upload_that_never_ends_fails_the_run_and_the_next_one_is_right(
    s3: ObjectStore, here: Ran, there: Ran
) -> None:
    root = s3.begun(*there, "decide", "compose", "tokenizer", "tokenize")
    s3.fail("PUT", "/decide/.*/ledger.parquet", cut_upload, ALWAYS)
    result = phloem("run", "tiny", "--root", root, "--workers", "1")
    assert result.exit_code == 1
    assert ONE_LINE.fullmatch(result.stderr)
    assert "ledger.parquet be written" in result.stderr
    assert newest(root)["status"] == "failed"
    assert Store(root).list("decide") == []
    s3.faults.clear()
    _, record = ran(root)
    assert set(redone(record)) == {"decide", "compose", "tokenizer", "tokenize"}
    assert digests(root, record) == digests(here[0], here[1])


def vanishing(s3: ObjectStore, method: str, path: str) -> None:
    """Let the server go when a request comes."""

    def gone(environ: Any, start_response: Any) -> Any:
        threading.Thread(target=s3.stop).start()
        return cut_upload(environ, start_response)

    s3.fail(method, path, gone, ALWAYS)


def test_server_that_vanishes_is_told_in_a_line_and_the_next_run_is_right(
    s3: ObjectStore, here: Ran, there: Ran
) -> None:
    root = s3.begun(*there, "compose", "tokenizer", "tokenize")
    vanishing(s3, "PUT", "/compose/")
    try:
        result = phloem("run", "tiny", "--root", root, "--workers", "1")
    finally:
        s3.stop()
        s3.faults.clear()
        s3.start()
    assert result.exit_code == 1
    # A heartbeat may have come due while the server was away.
    beat = "warning: no heartbeat could be written: StoreError\n"
    assert ONE_LINE.fullmatch(result.stderr.removeprefix(beat))
    _, record = ran(root)
    assert set(redone(record)) == {"compose", "tokenizer", "tokenize"}
    assert digests(root, record) == digests(here[0], here[1])


def test_command_without_its_bucket_says_so(s3: ObjectStore) -> None:
    result = phloem("release", "list", "--root", "s3://phloem-no-such-bucket/root")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: there is no root at s3://phloem-no-such-bucket/root")
    result = phloem("run", "tiny", "--root", "s3://phloem-no-such-bucket/root")
    assert result.exit_code == 1
    assert "The specified bucket does not exist" in result.stderr
    assert result.stderr.count("\n") == 1


def test_root_with_a_password_is_refused_without_it(s3: ObjectStore) -> None:
    root = f"s3://{KEY}:{SECRET}@{s3.bucket}/root"
    for command in (("run", "tiny"), ("plan", "tiny"), ("report",), ("release", "list")):
        result = phloem(*command, "--root", root)
        assert result.exit_code == 2
        assert "it holds a user name and a password" in result.stderr
        assert SECRET not in result.output + repr(result.exception)
        assert KEY not in result.output + repr(result.exception)


def test_neither_output_nor_root_holds_a_credential(s3: ObjectStore) -> None:
    root = s3.root()
    told = []
    for method, path, fault in (
        ("PUT", "/measure/", DENIED),
        ("PUT", "/decide/", ERROR_500),
        ("GET", "/compose/", DENIED),
    ):
        s3.fail(method, path, fault, ALWAYS)
        result = phloem("run", "tiny", "--root", root, "--workers", "1")
        s3.faults.clear()
        assert result.exit_code == 1
        assert ONE_LINE.fullmatch(result.stderr)
        assert newest(root)["error"] in result.stderr
        told.append(result.output.encode())
    assert not [text for text in [*told, *kept(root)] if SECRET.encode() in text]


def test_input_with_a_password_is_refused_without_it(tmp_path: Path, s3: ObjectStore) -> None:
    given = f"s3://{KEY}:{SECRET}@{s3.bucket}/texts.jsonl"
    result = phloem("run", "tiny", "--root", str(tmp_path / "root"), "--input", given)
    assert result.exit_code == 2
    said = f"error: --input s3://***@{s3.bucket}/texts.jsonl holds a password or a token"
    assert result.stderr.startswith(said)
    assert SECRET not in result.output
    assert not (tmp_path / "root").exists()


@pytest.mark.beam
def test_workers_share_a_root_on_s3(s3: ObjectStore, here: Ran) -> None:
    root = s3.root()
    faults = [
        s3.fail("GET", r"/(text|hashes)", cut_body, 3, every=2),
        s3.fail("PUT", "/(clean|compose)/", ERROR_500, 3, every=2),
    ]
    done = process("run", "tiny", "--root", root, "--workers", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(planned.met == 3 for planned in faults)
    record = newest(root)
    assert digests(root, record) == digests(here[0], here[1])
    told = f"{done.stdout}{done.stderr}".encode()
    assert not [text for text in [told, *kept(root)] if SECRET.encode() in text]


@pytest.mark.nightly
@pytest.mark.beam
def test_workers_whose_server_vanishes_end_with_one_error(s3: ObjectStore, here: Ran) -> None:
    root = s3.root()
    vanishing(s3, "PUT", "/measure/")
    try:
        gone = process("run", "tiny", "--root", root, "--workers", "2", AWS_MAX_ATTEMPTS="1")
    finally:
        s3.stop()
        s3.faults.clear()
        s3.start()
    assert gone.returncode == 1, gone.stderr
    lines = [line for line in gone.stderr.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1, lines
    error = lines[0]
    assert error.startswith("error: ")
    assert "Could not connect" in error
    assert SECRET not in gone.stdout + gone.stderr
    _, record = ran(root)
    assert digests(root, record) == digests(here[0], here[1])


@pytest.mark.beam
@pytest.mark.parametrize("whom", ["driver", pytest.param("worker", marks=pytest.mark.nightly)])
def test_run_that_is_ended_leaves_no_text_in_the_temporary_folder(
    s3: ObjectStore, here: Ran, tmp_path: Path, whom: str
) -> None:
    """The driver by SIGTERM, or a worker by SIGKILL: what is kept for the next run stays alone."""
    root = s3.root()
    slow = s3.fail("PUT", "/(measure|clean)/", after(1.0, ERROR_500), 8, every=2)
    driver = subprocess.Popen(
        [sys.executable, "-m", "phloem.pipeline.cli", "run", "tiny", "--root", root],
        env={**os.environ, "PYTHONSAFEPATH": "1", "TMPDIR": str(tmp_path)},
    )
    try:
        assert until(lambda: slow.seen > 2)
        if whom == "driver":
            driver.terminate()
        else:
            workers_of(psutil.Process(driver.pid))[0].kill()
        assert driver.wait(300) == (143 if whom == "driver" else 0)
    finally:
        driver.kill()
        s3.faults.clear()
    assert newest(root)["status"] == ("interrupted" if whom == "driver" else "done")
    (kept_folder,) = tmp_path.iterdir()
    assert kept_folder.name == f"phloem-{os.getuid()}"
    _, record = ran(root)
    assert digests(root, record) == digests(here[0], here[1])
