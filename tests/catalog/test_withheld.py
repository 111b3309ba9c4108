"""What is never told: secrets of addresses, and people's e-mail addresses."""

from __future__ import annotations

import copy
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phloem.catalog.errors import PhloemError, UseError
from phloem.catalog.store import ChangedError, MissingError, RootError, Store
from phloem.catalog.withheld import masked, withheld
from phloem.pipeline.cli.console import note, print_json, put
from phloem.pipeline.logs import set_up
from phloem.reports.markdown import code, fenced
from phloem.reports.visible import visible

SECRETS = [
    "https://host.pt/a.txt?token=HIDE",
    "https://host.pt/a.txt?x=1&access_token=HIDE&y=2",
    "https://host.pt/a.txt?x=1&amp;api_key=HIDE",
    "https://host.pt/a.txt?API-Key=HIDE",
    "https://host.pt/a.txt?key=HIDE",
    "https://b.s3.amazonaws.com/k?X-Amz-Credential=HIDE%2F2026&X-Amz-Signature=HIDE",
    "https://b.s3.amazonaws.com/k?AWSAccessKeyId=HIDE&Signature=HIDE%3D&Expires=1",
    "https://storage.googleapis.com/b/k?X-Goog-Signature=HIDE",
    "https://a.blob.core.windows.net/c/k?sv=2024&sig=HIDE%3D",
    "https://d.cloudfront.net/k?Key-Pair-Id=HIDE&Signature=HIDE",
    "https://host.pt/#access_token=HIDE",
    "https://host.pt/a;jsessionid=HIDE",
    "https://host.pt/?%74oken=HIDE",
    "https://host.pt/?client_secret=HIDE&password=HIDE&pwd=HIDE&pw=HIDE",
    "https://host.pt/?__token__=HIDE&token[]=HIDE&user[token]=HIDE&authKey=HIDE&licensekey=HIDE",
    "https://host.pt/a?hdnea=HIDE&__hdnts__=HIDE",
    'https://host.pt/a?token="HIDE"',
    "https://host.pt/go?to=https%3A%2F%2Fb.pt%2Fk%3Fx%3D1%26token%3DHIDE%26y%3D2",
    "https%3A%2F%2Fhost.pt%2Fk%3Fsig%3dHIDE",
    "https://HIDE@host.pt/a.git",
    "https://me:HIDE@host.pt/a.git",
    "s3://me:HIDE/HIDE@bucket/k",
    "HTTPSConnectionPool: /a.txt?sig=HIDE (Caused by x)",
]


@pytest.mark.parametrize("text", SECRETS)
def test_masked_hides_every_secret_of_an_address(text: str) -> None:
    assert "HIDE" not in masked(f"at {text}: refused")
    assert masked(f"at {text}: refused").endswith((": refused", " refused"))
    assert masked(masked(text)) == masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://law.moj.gov.tw/LawClass/LawAll.aspx?pcode=J0070017",
        "https://host.pt/a?page=2&session=3&keyword=tea&tokens=5&author=x",
        "https://host.pt/@user/post",
        "sftp://me@host/x",
        "a = b; c = d",
    ],
)
def test_masked_leaves_what_is_no_secret(text: str) -> None:
    assert masked(text) == text


PEOPLE = [
    "ana.silva@biblioteca.pt",
    "ana.silva@biblioteca.pt.jsonl",
    "cartas/ana.silva@biblioteca.pt.tar.gz/1.txt",
    "https://host.pt/cartas/ana.silva%40biblioteca.pt?x=1",
    "“From: Ana <ana.silva@biblioteca.pt>”",
    "ana.silva+x@163.com",
    "ana.silva@例子.中国",
    "mailto:ana.silva@biblioteca.pt",
    "ana.silva%2540biblioteca.pt",
    "ana.silva\uff20biblioteca.pt",
    "cv_ana.silva@biblioteca.pt_2024.pdf",
    "ana.silva@biblioteca.pt-2.0.tar.gz",
]


@pytest.mark.parametrize("text", PEOPLE)
def test_withheld_hashes_a_person_s_address(text: str) -> None:
    told = withheld(text)
    assert "silva" not in told
    assert "[email " in told
    assert withheld(told) == told


def test_withheld_tells_two_people_apart_and_one_as_one() -> None:
    one, other = withheld("ana@biblioteca.pt"), withheld("rui@biblioteca.pt")
    assert one != other
    assert one == withheld("Ana@Biblioteca.pt")
    assert withheld("a/ana@biblioteca.pt.txt") == f"a/{one}.txt"


@pytest.mark.parametrize(
    "text",
    [
        "evil@1.0.0.tgz",
        "lodash@4.17.21.tgz",
        "@types/node@20.1.0.tgz",
        "logo@2x.png",
        "me@example.org",
        "page@2024-01-01",
        "sftp://me@files.host.pt/x",  # whose host a reader must see
        "a@b",
        "pack@2.0.1-beta.tgz",
        "@babel/parser@v7.0.0-rc.1.tgz",
        "golang.org/x/text@v0.0.0-20200101-abcdef.zip",
    ],
)
def test_withheld_leaves_what_is_no_person_s(text: str) -> None:
    assert withheld(text) == text


@given(st.text())
def test_withheld_takes_any_text(text: str) -> None:
    assert withheld(text) == text or any(mark in text for mark in "@%=")


SAID = "cartas/ana.silva@biblioteca.pt.txt at https://host.pt/a?token=HIDE"


@pytest.mark.parametrize("kind", [PhloemError, UseError, MissingError, RootError])
def test_errors_withhold_it(kind: type[PhloemError]) -> None:
    error = kind(SAID)
    for each in (str(error), repr(error), repr(copy.copy(error))):
        assert "silva" not in each
        assert "HIDE" not in each
    assert "silva" not in str(ChangedError(SAID))


def test_root_with_a_token_is_refused_without_it() -> None:
    with pytest.raises(RootError, match=r"a\?sig=\*\*\* cannot be opened") as caught:
        Store("https://host.pt/a?sig=HIDE")
    assert "HIDE" not in str(caught.value)


def test_terminal_pages_and_comments_withhold_it(capsys: pytest.CaptureFixture[str]) -> None:
    put(SAID)
    note(SAID)
    print_json({SAID: [SAID]})
    said = "".join(capsys.readouterr())
    for each in (said, visible(SAID), code(SAID), fenced(SAID)):
        assert "[email " in each
        assert "silva" not in each
        assert "HIDE" not in each


@pytest.mark.parametrize(
    "text", ["a\nana@biblioteca.pt", "joão@biblioteca.pt", "\\ana@biblioteca.pt"]
)
def test_json_stays_json_whatever_it_escapes(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"x": text})
    set_up({"PHLOEM_LOG": "json"})
    try:
        logging.getLogger("phloem.test").warning("%s", text)
    finally:
        set_up({})
    out, err = capsys.readouterr()
    assert json.loads(out)["x"] == json.loads(err)["message"] == withheld(text)
    assert "biblioteca" not in out + err


@pytest.mark.parametrize("form", ["", "json"])
def test_logs_withhold_it(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up({"PHLOEM_LOG": form})
    try:
        logging.getLogger("phloem.test").warning("%s", SAID)
        said = capsys.readouterr().err
    finally:
        set_up({})
    assert "[email " in said
    assert "silva" not in said
    assert "HIDE" not in said
    assert not form or json.loads(said)["message"]


def test_an_address_behind_a_long_run_of_marks_is_withheld() -> None:
    shown = withheld("-" * 30_000 + "ana@biblioteca.pt")
    assert shown.startswith("-" * 30_000 + "[email ")
    assert withheld("a." * 15_000 + "@") == "a." * 15_000 + "@"
