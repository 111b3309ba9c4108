"""YAML of strangers: what is wrong is told with its line, all of it, and nothing overwhelms."""

import math
import os
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from phloem.sources.cards.dossier import read_card
from phloem.sources.cards.plain_yaml import FAULTS, MOST_BYTES, read_plain, read_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "line 1: anchors and aliases are not read"),
        ("a: " + "[" * 50, "line 1: lists and mappings are nested more than 12 deep"),
        ("a: " + "[" * 5_000, "nest"),
        ("a: [" + "1, " * 19_000 + "[" + "1, " * 2_000, "more than 20000 values"),
        ("a: *nobody", "line 1: anchors and aliases"),
        ("a: b: c", "line 1: not YAML"),
        ("\x00", "not YAML"),
        ("a: 1\n---\na: 2\n", "not YAML"),
        ("\ufeffa: 1\na: 2\n", "line 2: the key a stands in line 1 already"),
        ("a: 1\nb: {c: 1}\n'a': 2\n", "line 3: the key a stands in line 1 already"),
        ("a:\n  b:\n    x: 1\n    y: 2\n    x: 3\n", "line 5: the key x stands in line 3 already"),
        ("a:\n- {x: 1, x: 1}\n", "line 2: the key x stands in line 2 already"),
        ("? [x]\n: 1\n", "line 1: a key is a list or a mapping"),
        ("a: 1\n<<: {b: 2}\n", "line 2: merge keys (<<) are not read"),
        ("a: 1\nb: <<\n", "is none"),
        ("a: .inf\n", "line 1: .inf is no finite number"),
        ("a:\n - 1\n - -.Inf\n", "line 3: -.Inf is no finite number"),
        ("a: [1, .NaN]", "line 1: .NaN is no finite number"),
        ("a: 1.0e+999", "line 1: 1.0e+999 is no finite number"),
        ("a: 1\nb: !!binary aGk=", "line 2: the tag tag:yaml.org,2002:binary is not read"),
        ("a: !!float inf", "line 1: the tag"),
        ("a: !!python/object/apply:os.system [x]", "line 1: the tag"),
        ("a: ! x", "line 1: the tag ! is not read"),
        ("a: !!set {x, y}", "line 1: the tag"),
        ("no: nb", "line 1: the key no is read as False and no text; put it in quotes"),
        ("a: {2024-01-02: x}", "is read as datetime.date"),
        ("a: x\nb: 2026-13-41", "line 2: 2026-13-41 is written like a timestamp and is none"),
        ("a: " + "9" * 5_000, "is written like a int and is none"),
        ("a: " + "x" * MOST_BYTES, "has more than 1,048,576 bytes"),
    ],
)
def test_yaml_that_says_other_than_it_shows_is_a_fault_with_its_line(text, reason):
    _, faults = read_plain(text.encode())
    assert any(reason in fault for fault in faults), faults
    assert all(len(fault) < 200 for fault in faults)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"a: 1\nb: \xff\xfe\n", "line 2: not YAML: no UTF-8"),
        ("a: 1".encode("utf-16"), "line 1: not YAML: no UTF-8"),
        (b"a: \xed\xa0\x80", "line 1: not YAML: no UTF-8"),
    ],
)
def test_yaml_in_another_encoding_is_not_read(data, reason):
    value, faults = read_plain(data)
    assert (value, faults[0]) == (None, reason)


def test_every_fault_of_a_card_is_told_at_once(tmp_path):
    path = tmp_path / "tower.yaml"
    path.write_text("id: tower\nid: tower\nweight: .inf\nhomepag: x\nname: T\n", encoding="utf-8")
    file = read_card(path)
    assert file.card is None
    told = [message for _, message in file.faults]
    assert told[:2] == [
        "line 2: the key id stands in line 1 already",
        "line 3: .inf is no finite number",
    ]
    assert any("did you mean homepage?" in message for message in told)
    assert any("missing" in message for message in told)


def test_faults_without_number_are_cut():
    _, faults = read_plain(b"a: 1\n" * 1_000)
    assert len(faults) == FAULTS + 1


@pytest.mark.skipif(sys.platform == "win32", reason="has no FIFO")
def test_what_is_no_file_is_told_and_not_opened(tmp_path):
    folder, pipe, gone = (tmp_path / f"{name}.yaml" for name in ("folder", "pipe", "gone"))
    folder.mkdir()
    os.mkfifo(pipe)
    gone.symlink_to(tmp_path / "nothing")
    device = tmp_path / "device.yaml"
    device.symlink_to(Path("/dev/zero"))
    for path in (folder, pipe, gone, device):
        assert read_yaml(path) == (None, ["no plain file"])


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


@given(_VALUES)
def test_plain_data_is_read_as_it_was_written(value):
    text = yaml.dump(value, Dumper=_NoAliases, allow_unicode=True)
    found, faults = read_plain(text.encode())
    if _finite(value):
        assert (found, faults) == (yaml.safe_load(text), [])
    else:
        assert all("no finite number" in fault for fault in faults)
        assert faults


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def _finite(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


@given(st.binary(max_size=60) | st.text("a:{}[]&*!<-.inf'\"\n |>%#?,~=01", max_size=60))
def test_bytes_of_any_kind_are_read_or_told(given_):
    data = given_ if isinstance(given_, bytes) else given_.encode()
    value, faults = read_plain(data)
    assert faults or value == yaml.safe_load(data)
