"""Fetch: files come into the root once, verified; what cannot be had is named, with its remedy."""

import hashlib
import itertools
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from faults import until
from tiny_workspace import CARD
from unguarded import unguard

from phloem.catalog.policy import LOCAL
from phloem.catalog.store import Store
from phloem.pipeline.registry import fetch, splits
from phloem.pipeline.registry.fetch import FetchError, readings
from phloem.pipeline.registry.registry import Registry, local_registry
from phloem.sources.cards.source import Access, Source
from phloem.sources.clients import clients
from phloem.sources.connector import (
    GoneError,
    Pin,
    PinnedFile,
    Reach,
    SourceError,
    Split,
    Strict,
    WrongError,
)
from phloem.sources.connectors import files
from phloem.sources.spending import Allowance, at_most

LOCKED = "Все люди рождаются свободными".encode()


class AnyParams(Strict):
    """What the cards of these tests give."""

    path: str
    language_column: str
    id_column: str


@dataclass
class Provider:
    """A connector that serves bytes, or refuses, and counts what it is asked."""

    served: bytes = LOCKED
    gone: str = ""
    fault: SourceError | None = None
    reason: str | None = None
    own: Path | None = None  # serves a file that lies here, as the user's own do
    fetched: list[str] = field(default_factory=list)
    more: list[str] = field(default_factory=list)  # files that its card names by now
    strange: list[str] = field(default_factory=list)  # pinned files that its card does not name
    Params: type[Strict] = AnyParams
    VERSION: int = 1

    def reach(self, params: Any) -> Reach:
        return "here" if self.own else "index"

    def unavailable(self, params: Any) -> str | None:
        return self.reason

    def resolve(self, params: Any) -> Pin:
        raise AssertionError("a run never asks what there is now")

    def foreign(self, params: Any, pin: Pin) -> list[str]:
        return [f"{name} is none of the card's" for name in self.strange]

    def fetch(self, params: Any, pin: Pin, folder: Path) -> dict[str, str]:
        if self.fault:
            raise self.fault
        if self.gone:
            raise GoneError(self.gone)
        path = self.own or folder / "served"
        path.write_bytes(self.served)
        self.fetched += [file.name for file in pin.files]
        return {file.name: str(path) for file in pin.files}

    def unlocked(self, params: Any, pin: Pin) -> list[str]:
        return self.more

    def splits(self, params: Any, pin: Pin, files: Any) -> list[Split]:
        assert {name: Path(path).read_bytes() for name, path in files.items()} == {"f": LOCKED}
        return [Split("all", {})]

    def read(self, params: Any, split: Split, files: Any) -> Any:
        raise AssertionError("fetching reads no document")


Serve = Callable[..., None]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Let providers stand where connectors stand, by name; no child knows them."""

    def put(**providers: Provider) -> None:
        monkeypatch.setattr(fetch, "find_connector", providers.__getitem__)
        monkeypatch.setattr(splits, "find_connector", providers.__getitem__)
        unguard(monkeypatch)

    return put


def _card(name: str) -> Source:
    value = yaml.safe_load(CARD.replace("NAME", name).replace("PATH", "anywhere"))
    value["access"]["connector"] = name
    return Source.model_validate(value)


SHA256 = hashlib.sha256(LOCKED).hexdigest()
PIN = Pin("v1", (PinnedFile("f", SHA256, len(LOCKED)),))


def _readings(store: Store, *names: str, skip: bool = False) -> tuple[Any, Any, list[str]]:
    lines: list[str] = []
    found, skipped = readings(
        store, [_card(name) for name in names], dict.fromkeys(names, PIN),
        skip_unavailable=skip, told=lines.append,
    )  # fmt: skip
    return found, skipped, lines


def test_readings_fetch_each_file_once_under_its_sha256(serve: Serve, tmp_path: Path) -> None:
    store, provider = Store(tmp_path), Provider()
    serve(a=provider)
    (reading,), _, lines = _readings(store, "a")
    assert store.list("fetched") == [f"fetched/{SHA256}"]
    assert reading.files["f"].path == f"fetched/{SHA256}"
    assert [line.split(" (")[0] for line in lines] == ["fetched a v1"]
    provider.reason = "no network"
    again, _, lines = _readings(store, "a")
    assert (again, lines, provider.fetched) == ([reading], [], ["f"])


def test_readings_fetch_again_what_was_cut(serve: Serve, tmp_path: Path) -> None:
    store, provider = Store(tmp_path), Provider()
    serve(a=provider)
    store.write_bytes(f"fetched/{SHA256}", LOCKED[:-1])
    _readings(store, "a")
    assert store.read_bytes(f"fetched/{SHA256}") == LOCKED


def test_readings_put_aside_and_fetch_again_what_changed(serve: Serve, tmp_path: Path) -> None:
    store, a, b = Store(tmp_path), Provider(), Provider()
    serve(a=a, b=b)
    store.write_bytes(f"fetched/{SHA256}", LOCKED[::-1])  # as many bytes
    found, _, lines = _readings(store, "a", "b")
    assert [reading.card.id for reading in found] == ["a", "b"]
    assert store.read_bytes(f"fetched/{SHA256}") == LOCKED
    assert lines[0] == f"f is not what was fetched (fetched/{SHA256}): it is fetched anew"
    assert {line.split(" (")[0] for line in lines[1:]} <= {"fetched a v1", "fetched b v1"}
    assert a.fetched + b.fetched != []


def test_readings_of_what_changed_and_is_not_to_be_had_say_so(serve: Serve, tmp_path: Path) -> None:
    store = Store(tmp_path)
    serve(a=Provider(reason="no network"))
    store.write_bytes(f"fetched/{SHA256}", LOCKED[::-1])
    with pytest.raises(FetchError, match="1 of 1 sources cannot be read here: a: no network"):
        _readings(store, "a")
    assert store.list("fetched") == []  # nobody takes it for what its name says


def test_readings_bring_what_comes_with_the_package_into_the_root(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "root")
    monkeypatch.setattr(fetch, "PACKAGE", tmp_path / "package")
    (tmp_path / "package").mkdir()
    serve(a=Provider(own=tmp_path / "package" / "f"))
    (reading,), _, _ = _readings(store, "a")
    assert reading.files["f"].path == f"fetched/{SHA256}"
    assert store.read_bytes(f"fetched/{SHA256}") == LOCKED


def test_readings_leave_ones_own_file_where_it_lies(serve: Serve, tmp_path: Path) -> None:
    store = Store(tmp_path / "root")
    serve(a=Provider(own=tmp_path / "mine"))
    (reading,), _, lines = _readings(store, "a")
    assert reading.files["f"].path == str(tmp_path / "mine")
    assert (store.list("fetched"), lines) == ([], [])


def test_readings_that_are_interrupted_wait_for_nobody_and_leave_nothing(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One fetches by a client, one by itself; the third begins none."""
    temporary, downloading, begun = tmp_path / "temporary", threading.Event(), []
    numbers = itertools.count()
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(fetch, "CLIENTS", 2)

    class Busy(Provider):
        def fetch(self, params: Any, pin: Pin, folder: Path) -> dict[str, str]:
            number = next(numbers)  # not by `begun`: both threads may see two there
            begun.append(folder)
            (folder / "half").write_text("половина", encoding="utf-8")
            if number == 0:
                clients.run_client(["sleep", "600"], folder, {})
            downloading.wait(600)
            return super().fetch(params, pin, folder)

    def end(*_: object) -> None:
        raise SystemExit

    def strike() -> None:
        until(lambda: len(begun) == 2 and psutil.Process().children())
        os.kill(os.getpid(), signal.SIGTERM)

    serve(a=Busy(), b=Busy(), c=Busy())
    before = signal.signal(signal.SIGTERM, end)
    threading.Thread(target=strike).start()
    try:
        with pytest.raises(SystemExit):
            _readings(Store(tmp_path / "root"), "a", "b", "c")
        assert list(temporary.iterdir()) == []
        own = [each for each in psutil.Process().children() if each.name() == "sleep"]
        assert {each.status() for each in own} <= {psutil.STATUS_ZOMBIE}
    finally:
        signal.signal(signal.SIGTERM, before)
        downloading.set()
    assert len(begun) == 2


def test_readings_copy_ones_own_files_once_where_workers_are_elsewhere(tmp_path: Path) -> None:
    store = Store(f"memory://{tmp_path}")
    texts = {f"{name}.txt": f"{name}: текст\n" for name in ("a", "b", "ก")}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    registry = local_registry(Registry({}, {}, {}, {}, {}), str(tmp_path / "*.txt"), "text", "und")
    pin = registry.pins[LOCAL]
    names = {file.name: f"fetched/{file.sha256}" for file in pin.files}
    store.write_bytes(names["b.txt"], texts["b.txt"].encode())
    for told in (["copied 2 files (0.0 MB) to the root: workers are elsewhere"], []):
        lines: list[str] = []
        (reading,), skipped = readings(
            store,
            [registry.cards[LOCAL]],
            registry.pins,
            own=registry.own,
            skip_unavailable=False,
            is_elsewhere=True,
            told=lines.append,
        )
        assert (lines, skipped) == (told, {})
        assert {name: ref.path for name, ref in reading.files.items()} == names
    assert {name: store.read_bytes(names[name]).decode() for name in names} == texts


@pytest.mark.parametrize(
    ("more", "said"),
    [(["b", "ก"], "2 files .*: b, ก;"), (list("bcdefgh"), "7 files .*: b, c, d, e, f and 2 more;")],
)
def test_readings_name_files_that_are_not_locked(
    serve: Serve, tmp_path: Path, more: list[str], said: str
) -> None:
    serve(a=Provider(more=more))
    for _ in range(2):  # also where all that is locked lies in the root
        _, _, lines = _readings(Store(tmp_path), "a")
        remedy = f"`phloem sources lock a --root {tmp_path}` locks them"
        assert re.fullmatch(f"a: {said} {re.escape(remedy)}", lines[-1])


def test_readings_of_ones_own_file_that_changed_or_is_lost_name_it(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")
    card = _card("a").model_copy(
        update={"access": Access(connector="files", params={"path": f"{tmp_path}/*.jsonl"})}
    )
    params = files.Params.model_validate(card.access.params)
    pins = {"a": files.resolve(params)}

    def said() -> str:
        with pytest.raises(FetchError) as told:
            readings(Store(tmp_path), [card], pins, own=["a"], skip_unavailable=False, told=print)
        return str(told.value)

    (tmp_path / "two.jsonl").write_text("other", encoding="utf-8")
    assert "a: two.jsonl has sha256" in said()
    (tmp_path / "two.jsonl").unlink()
    assert "such as two.jsonl" in said()
    assert f"`phloem sources lock a --root {tmp_path}`" in said()


def test_readings_of_a_card_of_the_registry_open_no_file_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(LOCKED)
    card = _card("a").model_copy(
        update={"access": Access(connector="files", params={"path": str(tmp_path / "a.txt")})}
    )
    params = files.Params.model_validate(card.access.params)
    store, pins = Store(tmp_path / "root"), {"a": files.resolve(params)}
    store.write_bytes(f"fetched/{SHA256}", LOCKED)  # nor what the root holds of it
    with pytest.raises(FetchError, match=r"a: .*a\.txt is a user's own file"):
        readings(store, [card], pins, skip_unavailable=True, told=print)
    (reading,), _ = readings(store, [card], pins, own=["a"], skip_unavailable=False, told=print)
    assert list(reading.files) == ["a.txt"]


def test_readings_for_a_look_fetch_no_more_than_they_may(serve: Serve, tmp_path: Path) -> None:
    serve(a=(provider := Provider()))
    for allowance in (Allowance(fetch_bytes=len(LOCKED) - 1), Allowance(fetch_seconds=0)):
        with pytest.raises(FetchError, match=r"\(fetch_"), at_most(allowance):
            _readings(Store(tmp_path), "a")
    assert provider.fetched == []
    with at_most(Allowance(fetch_bytes=len(LOCKED))):
        _readings(Store(tmp_path), "a")
    with at_most(Allowance(fetch_bytes=1)):  # the root holds it
        _readings(Store(tmp_path), "a")
    assert provider.fetched == ["f"]


def test_readings_of_other_bytes_than_locked_name_source_and_remedy(
    serve: Serve, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    serve(a=Provider(served=LOCKED + b" "))
    with pytest.raises(FetchError, match=r"a: f has sha256 .*the provider changed") as told:
        _readings(store, "a")
    assert str(told.value).endswith(f"then run `phloem sources lock a --root {tmp_path}`")
    assert store.list("fetched") == []


def test_readings_of_what_is_gone_end_with_the_command_for_that_source(
    serve: Serve, tmp_path: Path
) -> None:
    serve(a=Provider(gone="v1 is gone, v2 is there; lock it again"))
    with pytest.raises(FetchError) as told:
        _readings(Store(tmp_path), "a")
    assert str(told.value) == (
        "1 of 1 sources cannot be read here: a: v1 is gone, v2 is there; lock it again:"
        f" `phloem sources lock a --root {tmp_path}`"
    )


def test_readings_without_a_lock_entry_name_the_command(serve: Serve, tmp_path: Path) -> None:
    serve(a=Provider())
    with pytest.raises(FetchError, match="run `phloem sources lock a --root "):
        readings(Store(tmp_path), [_card("a")], {}, skip_unavailable=False, told=print)


def test_readings_name_all_that_is_missing_at_once(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All three serve the same bytes: the last, once fetched, would be there for the others too.
    monkeypatch.setattr(fetch, "CLIENTS", 1)
    serve(a=Provider(reason="this needs apt-get"), b=Provider(gone="b is gone"), c=Provider())
    with pytest.raises(FetchError) as told:
        _readings(Store(tmp_path), "a", "b", "c")
    assert str(told.value) == (
        "2 of 3 sources cannot be read here: a: this needs apt-get; b: b is gone:"
        f" `phloem sources lock b --root {tmp_path}`; --skip-unavailable runs with the others"
    )


def test_readings_with_skip_unavailable_leave_out_and_say_why(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    c = Provider(fault=SourceError("host c does not answer"))
    serve(a=Provider(reason="this needs apt-get"), b=Provider(), c=c, d=Provider(gone="d is gone"))
    monkeypatch.setattr(fetch, "CLIENTS", 1)  # b comes second, and all serve the same bytes
    found, skipped, lines = _readings(Store(tmp_path), "a", "c", "d", "b", skip=True)
    assert [reading.card.id for reading in found] == ["b"]
    assert skipped == {
        "a": "this needs apt-get",
        "c": "host c does not answer",
        "d": f"d is gone: `phloem sources lock d --root {tmp_path}`",
    }
    assert lines[1:] == [f"left out {source}: {reason}" for source, reason in skipped.items()]


@pytest.mark.parametrize(
    ("provider", "pins", "said"),
    [
        (Provider(served=LOCKED + b"!"), {"b": PIN}, "f has sha256 .*the provider changed"),
        (Provider(fault=WrongError("other bytes")), {"b": PIN}, "other bytes"),
        (Provider(), {}, "no lock entry says what it holds"),
        (Provider(Params=Strict), {"b": PIN}, "the card's access.params do not suit"),
        (Provider(strange=["f"]), {"b": PIN}, "its lock entry holds what the card does not name"),
    ],
    ids=["changed", "changed for its connector", "not locked", "wrong card", "foreign"],
)
def test_readings_pass_over_nothing_that_is_wrong_with_a_source_though_they_may_skip(
    serve: Serve,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    provider: Provider,
    pins: dict[str, Pin],
    said: str,
) -> None:
    monkeypatch.setattr(fetch, "CLIENTS", 1)  # what c brought would be there for b too
    serve(a=Provider(reason="this needs apt-get"), b=provider, c=Provider())
    lines: list[str] = []
    cards = [_card(name) for name in ("a", "b", "c")]
    with pytest.raises(FetchError, match=f"2 of 3 sources .*b: {said}") as told:
        readings(
            Store(tmp_path), cards, {"a": PIN, "c": PIN, **pins},
            skip_unavailable=True, told=lines.append,
        )  # fmt: skip
    assert "--skip-unavailable" not in str(told.value)
    assert [line for line in lines if "left out" in line] == []


NPM = """\
#!{python}
import json, shutil, sys
asked = sys.argv[-1]
if "view" in sys.argv:
    print("2.0.0")
elif asked == "kept@1.0.0":
    shutil.copy({archive!r}, "kept-1.0.0.tgz")
    print(json.dumps([{{"version": "1.0.0"}}]))
else:
    sys.exit("npm error code ETARGET\\nnpm error notarget No matching version")
"""


def test_readings_of_a_package_that_an_index_no_longer_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(b"the package")
    client = tmp_path / "bin" / "npm"
    client.parent.mkdir()
    client.write_text(NPM.format(python=sys.executable, archive=str(archive)), encoding="utf-8")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", str(client.parent))
    cards, pins = [], {}
    for name in ("gone", "kept"):
        value = yaml.safe_load(CARD.replace("NAME", name).replace("PATH", "anywhere"))
        value["access"] = {"connector": "npm", "params": {"packages": [name]}}
        cards.append(Source.model_validate(value))
        pinned = replace(clients.pinned(archive), name=f"{name}@1.0.0.tgz")
        other = replace(pinned, sha256=hashlib.sha256(b"of 1.0.0").hexdigest())
        pins[name] = Pin("1.0.0", (pinned if name == "kept" else other,))

    def read(root: str, *, skip: bool) -> tuple[list[str], dict[str, str]]:
        store = Store(tmp_path / root)
        found, skipped = readings(store, cards, pins, skip_unavailable=skip, told=lambda _: None)
        return [reading.card.id for reading in found], skipped

    reason = (
        "gone 1.0.0 is no longer served; 2.0.0 is; look at what changed, set the version if the"
        " card names one, then lock it again:"
        f" `phloem sources lock gone --root {tmp_path}/"
    )
    with pytest.raises(FetchError, match=f"1 of 2 sources cannot be read here: gone: {reason}"):
        read("stopped", skip=False)
    left = {"gone": f"{reason}skipped`"}
    assert read("skipped", skip=True) == (["kept"], left)
    archive.write_bytes(b"another package")
    assert read("skipped", skip=True) == (["kept"], left)  # its bytes are in the root
    with pytest.raises(FetchError, match=r"kept: kept@1\.0\.0\.tgz has sha256 .* is locked"):
        read("changed", skip=True)


def test_readings_with_none_left_fail_though_they_may_skip(serve: Serve, tmp_path: Path) -> None:
    serve(a=Provider(reason="this needs apt-get"))
    with pytest.raises(FetchError, match="1 of 1 sources") as told:
        _readings(Store(tmp_path), "a", skip=True)
    assert "--skip-unavailable" not in str(told.value)


def test_readings_with_parameters_of_another_connector_name_the_key(
    serve: Serve, tmp_path: Path
) -> None:
    serve(a=Provider(Params=Strict))
    with pytest.raises(FetchError, match=r"a: .* do not suit a: .*path"):
        _readings(Store(tmp_path), "a")


def test_keep_file_of_a_file_that_changed_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"other")
    with pytest.raises(FetchError, match="file changed while it was copied"):
        fetch.keep_file(Store(tmp_path / "root"), tmp_path / "file", SHA256)
    assert Store(tmp_path / "root").list("fetched") == []


def test_find_connector_that_is_none_is_told_as_the_sources_fault(tmp_path: Path) -> None:
    card = _card("a").model_copy(update={"access": _card("fils").access})
    with pytest.raises(FetchError, match=r"a: no connector named 'fils'; did you mean files\?"):
        readings(Store(tmp_path), [card], {"a": PIN}, skip_unavailable=False, told=print)
    with pytest.raises(SourceError):
        fetch.find_connector("fils")
