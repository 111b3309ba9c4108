"""Disks that are full, files that cannot be read, and bytes that are not what they were."""

import errno
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from faults import commits, outcome, run_command, runs_of
from tiny_workspace import add_source, change_recipe, redone, run_tiny

from phloem.catalog.store import Store
from phloem.catalog.verify import verify_release
from phloem.catalog.views import connect
from phloem.pipeline.registry.fetch import FetchError
from phloem.pipeline.run import RunError

World = tuple[Path, Path, dict[str, Any]]

# Mounts vanish with the last process of the namespace, and nobody else sees them.
NAMESPACE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
FULL_DISK = """\
set -e
mount -t tmpfs -o size=32m none "$ROOT"
cp -a "$PREPARED"/. "$ROOT"
set +e
(until [ -d "$ROOT/measure" ]; do sleep 0.01; done; head -c 64m /dev/zero >"$ROOT/ballast") &
"$@" >"$SAID" 2>&1
echo $? >"$CODES"
kill $! 2>/dev/null
rm -f "$ROOT/ballast"
"$@" >>"$SAID" 2>&1
echo $? >>"$CODES"
cp -a "$ROOT"/. "$KEPT"
"""


@pytest.mark.beam
@pytest.mark.fault(
    fault="the disk fills up in the middle of a run (a real file system without room)",
    promise="the run ends with the system's message and no half-written file is taken for a whole"
    " one; with room, a rerun ends with the same bytes",
)
@pytest.mark.needs("unshare")
def test_run_on_a_full_disk_says_so_and_ends_the_same_with_room(
    world: World, fresh: Path, tmp_path: Path
) -> None:
    folder, root, before = world
    mounted, kept, said, codes = (tmp_path / name for name in ("mounted", "kept", "said", "codes"))
    mounted.mkdir()
    kept.mkdir()
    probe = ["mount", "-t", "tmpfs", "none", str(mounted)]
    if subprocess.run([*NAMESPACE, *probe], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a small file system")
    subprocess.run(
        [*NAMESPACE, "sh", "-c", FULL_DISK, "sh", *run_command(mounted, 2)],
        cwd=folder,
        check=True,
        timeout=300,
        env={
            **os.environ,
            "PYTHONSAFEPATH": "1",
            "ROOT": str(mounted),
            "PREPARED": str(fresh),
            "KEPT": str(kept),
            "SAID": str(said),
            "CODES": str(codes),
        },
    )
    assert codes.read_text().split() == ["1", "0"], said.read_text()
    assert "No space left on device" in said.read_text()
    assert "Traceback" not in said.read_text()
    finished = [record for record in runs_of(kept) if record["status"] == "done"]
    assert len(finished) == 1
    assert outcome(kept, finished[0]) == outcome(root, before)
    assert verify_release(Store(str(kept)), before["release"]) == []


@pytest.mark.fault(
    fault="the kernel refuses to read a source's file",
    promise="the run does not begin, and names file and reason; once it can be read, the run ends"
    " with the same bytes",
)
def test_source_that_cannot_be_read_is_named_before_the_run(
    world: World, copied: Path, tmp_path: Path
) -> None:
    folder, root, before = world
    file = folder / "north.jsonl"
    aside = shutil.move(file, tmp_path / "aside")
    try:
        file.symlink_to("/proc/self/mem")  # nothing is mapped at 0, so that there is an error
        with pytest.raises(FetchError, match=r"north: .*north\.jsonl is what the system tells"):
            run_tiny(folder, copied)
    finally:
        file.unlink()
        shutil.move(aside, file)
    assert outcome(copied, run_tiny(folder, copied)) == outcome(root, before)


@pytest.mark.usefixtures("local_only")
@pytest.mark.fault(
    fault="committed files cannot be read (EIO) by the tasks of a later stage",
    promise="each task that wanted them fails with the system's message; a rerun does only these"
    " and ends with the same bytes",
)
def test_shard_that_cannot_be_read_fails_its_readers_only(
    world: World, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, root, before = world
    for stage in ("tokenizer", "tokenize"):
        shutil.rmtree(copied / stage)
    mapped = pa.memory_map

    def memory_map(path: str, *more: object) -> object:
        if "/compose/" in path:
            raise OSError(errno.EIO, os.strerror(errno.EIO), Path(path).name)
        return mapped(path, *more)

    with monkeypatch.context() as patch:
        patch.setattr(pa, "memory_map", memory_map)
        with pytest.raises(RunError, match=r"stage tokenizer: 1 of 1 tasks failed.*Input/output"):
            run_tiny(folder, copied)
    record = run_tiny(folder, copied)
    assert redone(record) == {"tokenizer": 1, "tokenize": 4}
    assert outcome(copied, record) == outcome(root, before)


@pytest.mark.fault(
    fault="a source's bytes change after they were locked",
    promise="the run does not begin: it names the file and both hashes; with the locked bytes back"
    " it ends with the same bytes",
)
def test_source_that_changed_is_refused(world: World, copied: Path) -> None:
    folder, root, before = world
    file = folder / "south.jsonl"
    locked = file.read_bytes()
    try:
        file.write_bytes(locked.replace(b"a", b"b", 1))
        with pytest.raises(FetchError, match=r"south: south\.jsonl has sha256 .* was changed"):
            run_tiny(folder, copied)
    finally:
        file.write_bytes(locked)
    assert outcome(copied, run_tiny(folder, copied)) == outcome(root, before)


@pytest.mark.fault(
    fault="a committed file is cut short on the disk",
    promise="a rerun finds it by its size, makes its shard again, and ends with the same bytes",
)
@pytest.mark.parametrize("file", ["ingest/*/text-00000.arrow", "tokenize/*/tokens.arrow"])
def test_shard_that_was_cut_is_made_again(file: str, world: World, copied: Path) -> None:
    folder, root, before = world
    victim = min(copied.glob(file))
    victim.write_bytes(victim.read_bytes()[:-7])
    record = run_tiny(folder, copied)
    assert redone(record) == {file.partition("/")[0]: 1}
    assert outcome(copied, record) == outcome(root, before)


@pytest.mark.fault(
    fault="one bit of a released file flips on the disk",
    promise="`phloem release verify` names the file; once its shard is deleted, a rerun makes it"
    " again, and the release verifies",
)
@pytest.mark.parametrize("file", ["compose/*/text.arrow", "tokenize/*/tokens.arrow"])
def test_released_file_with_a_flipped_bit_is_found_and_made_again(
    file: str, world: World, copied: Path
) -> None:
    folder, root, before = world
    store = Store(str(copied))
    victim = max(copied.glob(file))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    found = verify_release(store, before["release"])
    assert [(each.file, each.problem) for each in found] == [
        (str(victim.relative_to(copied)), "digest")
    ]
    shutil.rmtree(victim.parent)
    record = run_tiny(folder, copied)
    assert redone(record) == {file.partition("/")[0]: 1}
    assert outcome(copied, record) == outcome(root, before)
    assert verify_release(store, before["release"]) == []


@pytest.mark.fault(
    fault="one bit flips on the disk of a committed file that a later stage has yet to read",
    promise="the reader names the file and its shard counts as never made; a rerun makes it again"
    " and ends with the same bytes",
)
@pytest.mark.parametrize(
    ("pattern", "reader", "unmade"),
    [
        ("ingest/*/text-00000.arrow", "measure", ["measure", "clean"]),
        ("measure/*/minhash.parquet", "bands", ["bands"]),
    ],
)
def test_flipped_bit_is_found_before_the_file_is_read(
    pattern: str, reader: str, unmade: list[str], world: World, copied: Path
) -> None:
    folder, root, before = world
    for stage in unmade:
        shutil.rmtree(copied / stage)
    victim = min(copied.glob(pattern))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    # Of several tasks that read it, one finds it changed, and the others find it gone.
    told = rf"stage {reader}: .*({re.escape(victim.name)} is not what was written|is not whole)"
    with pytest.raises(RunError, match=told):
        run_tiny(folder, copied)
    record = run_tiny(folder, copied)
    assert redone(record)[victim.relative_to(copied).parts[0]] == 1
    assert set(redone(record)) <= {"ingest", "measure", "bands"}
    assert outcome(copied, record) == outcome(root, before)


@pytest.mark.fault(
    fault="a manifest or the record of an earlier run is cut short",
    promise="the next run writes its own, and ends with the same bytes",
)
@pytest.mark.parametrize("folder_of_it", ["datasets", "runs"])
def test_record_that_was_cut_does_not_stop_the_next_run(
    folder_of_it: str, world: World, copied: Path
) -> None:
    folder, root, before = world
    for victim in (copied / folder_of_it).iterdir():
        victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    record = run_tiny(folder, copied)
    assert redone(record) == {}
    assert outcome(copied, record) == outcome(root, before)


@pytest.mark.fault(
    fault="the commit of a shard is cut short",
    promise="the shard counts as never made: a rerun makes it again and ends with the same bytes",
)
def test_commit_that_was_cut_is_made_again(world: World, copied: Path) -> None:
    folder, root, before = world
    there = commits(copied)
    victim = min(copied.glob("measure/*/shard.json"))
    victim.write_bytes(victim.read_bytes()[:40])
    record = run_tiny(folder, copied)
    assert redone(record) == {"measure": 1}
    assert commits(copied) == there
    assert outcome(copied, record) == outcome(root, before)


@pytest.mark.nightly
@pytest.mark.fault(
    fault="a source holds a single line of 200 MB, of one document",
    promise="it is over the bound of a document and put into quarantine; what becomes of all others"
    " stays the same",
)
def test_line_of_200_mb_leaves_all_other_documents_as_they_were(
    world: World, copied: Path, tmp_path: Path
) -> None:
    folder, root, _ = world
    other = tmp_path / "workspace"
    shutil.copytree(folder, other)
    line = json.loads(Path(folder / "north.jsonl").read_bytes().splitlines()[0])
    long = {**line, "id": "long", "text": (line["text"] + "\n") * (200 * 10**6 // 2500)}
    own = {"id": "own", "text": "The quick brown fox jumps over the lazy dog.", "lang": "en"}
    add_source(other, "long", [long, own])
    assert (other / "long.jsonl").stat().st_size > 200 * 10**6
    change_recipe(other, "west]", "west, long]")
    record = run_tiny(other, copied)
    counts = {"read": 2, "kept": 1, "dropped": 0, "quarantined": 1}
    assert record["balance"]["long"] == counts
    sql = "select id, verdict, reason from decisions where source != 'long' order by id"
    found = [connect(Store(str(each))).execute(sql).fetchall() for each in (copied, root)]
    assert found[0] == found[1]
