"""The contract that every op holds to, and the lock of its output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.catalog.columns import TEXT, Column
from phloem.filters import contract, versions
from phloem.filters.op import Op, op, ops
from phloem.filters.versions import entry, fault, model_paths, read_lock

OPS = [each.sampled for each in ops().values()]
LENGTH = Column("length", pa.int64(), "Bytes.")


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("one", OPS, ids=lambda one: one.name)
def test_op_holds_to_the_contract(one: Op, check: object) -> None:
    assert check(one, model_paths(one)) == []  # type: ignore[operator]


@pytest.mark.parametrize("one", OPS, ids=lambda one: one.name)
def test_output_is_locked_with_its_identity(one: Op) -> None:
    assert fault(one.name, read_lock().get(one.name), entry(one)) is None


def test_output_does_not_depend_on_the_vector_units_of_the_machine() -> None:
    found = np._core._multiarray_umath
    extra = [name for name in found.__cpu_dispatch__ if found.__cpu_features__.get(name)]
    code = (
        "import json; from phloem.filters.op import ops; from phloem.filters.versions import entry;"
        "print(json.dumps({name: entry(one) for name, one in ops().items()}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "NPY_DISABLE_CPU_FEATURES": " ".join(extra),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == read_lock()


def test_lock_names_no_op_that_is_gone() -> None:
    assert set(read_lock()) == set(ops())


@pytest.mark.parametrize("one", OPS, ids=lambda one: one.name)
@settings(max_examples=8, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(0, len(contract.NASTY)), max_size=4))
def test_splitting_anywhere_changes_nothing(one: Op, cuts: list[int]) -> None:
    batch, paths = contract.nasty(one), model_paths(one)
    assert contract.in_parts(one, batch, cuts, paths) == contract.run(one, batch, paths)


def _op(function: object, **more: object) -> Op:
    function.__name__ = "length"  # type: ignore[attr-defined]
    function.__doc__ = "Count bytes (RFC 3629)."
    made = op(reads=[TEXT], writes=[LENGTH], examples=[("é", 2)])(function)  # type: ignore[arg-type]
    return replace(made, **more)  # type: ignore[arg-type]


def _length(batch: pa.RecordBatch) -> list[pa.Array]:
    return [pc.cast(pc.binary_length(batch["text"]), pa.int64())]


def _length_of_all(batch: pa.RecordBatch) -> list[pa.Array]:
    total = pc.sum(pc.binary_length(batch["text"])).as_py() or 0
    return [pa.array([total] * batch.num_rows, pa.int64())]


def _length_plus_one(batch: pa.RecordBatch) -> list[pa.Array]:
    return [pc.add(_length(batch)[0], 1)]


def _length_from_the_buffer(batch: pa.RecordBatch) -> list[pa.Array]:
    whole = batch["text"].buffers()[1]
    return [pa.array([whole.size] * batch.num_rows, pa.int64())]


def test_good_op_has_no_breach() -> None:
    assert contract.breaches(_op(_length), {}) == []


@pytest.mark.parametrize(
    ("bad", "breach"),
    [
        (_op(_length_of_all), "split"),
        (_op(_length_from_the_buffer), "makes values of nulls"),
        (_op(_length_plus_one), "example 0"),
        (_op(_length, reference=_length_plus_one), "reference differs"),
        (_op(_length, examples=()), "lacks examples"),
    ],
)
def test_bad_op_is_found_out(bad: Op, breach: str) -> None:
    found = contract.breaches(bad, {})
    assert any(breach in one for one in found), found


def test_lock_tells_changed_output_from_a_raised_version() -> None:
    now = entry(_op(_length))
    changed = entry(_op(_length_plus_one))
    raised = entry(_op(_length_plus_one, version=2))
    assert "raise its version" in str(fault("length", now, changed))
    assert "another identity" in str(fault("length", now, raised))
    assert "not locked" in str(fault("length", None, now))


def test_lock_command_refuses_changed_output_under_one_identity(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = tmp_path / "versions.json"  # type: ignore[operator]
    monkeypatch.setattr(versions, "LOCK", lock)
    monkeypatch.setattr(versions, "ops", lambda: {"length": _op(_length)})
    assert versions.main() == 0
    before = lock.read_text()
    monkeypatch.setattr(versions, "ops", lambda: {"length": _op(_length_plus_one)})
    assert versions.main() == 1
    assert "raise its version" in capsys.readouterr().err
    assert lock.read_text() == before
    assert list(json.loads(before)) == ["length"]


def test_missing_model_says_what_to_do(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHLOEM_MODELS", str(tmp_path))
    with pytest.raises(versions.ModelMissingError, match=r"make test.*PHLOEM_MODELS"):
        model_paths(ops()["language"])
