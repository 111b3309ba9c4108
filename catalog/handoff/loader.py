"""Read a release's tokens in training order: start-up and resuming cost nothing per sample.

The order is a formula. Which source comes next is a fixed pattern of a block, repeated; which of
its sequences, a keyed permutation that is computed and never stored. So the state of a training
run is one integer, and its meaning depends on no number of ranks or workers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np

from phloem.catalog.advice import command, install_extra
from phloem.catalog.handoff.mapped import Mapped, map_tokens
from phloem.catalog.handoff.tokens import TOKENS
from phloem.catalog.manifest import Shard
from phloem.catalog.nearest import nearest
from phloem.catalog.released import (
    ReleaseError,
    check_ended,
    load_release,
    released_dataset,
)
from phloem.catalog.store import Store

Array = np.ndarray[Any, Any]
Sample = dict[str, Any]

BLOCK = 2**14  # sequences after which the pattern of sources repeats: weights hold to 1 in 16,384
ROUNDS = 6  # of the Feistel network; four make a pseudorandom permutation (Luby, Rackoff 1988)
_MASK = 2**64 - 1


def permute(place: int, size: int, key: bytes) -> int:
    """Where a keyed permutation of 0 … size-1 sends a place, without a table.

    A Feistel network on the next power of four, applied again while it lands outside (cycle
    walking: Black and Rogaway 2002). Its rounds mix with SplitMix64 (Steele et al. 2014).

    Args:
        place: 0 <= place < size.
        size: At least 1, below 2^62.
        key: Any bytes.
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    low = (1 << half) - 1
    words = hashlib.sha512(key).digest()
    keys = [int.from_bytes(words[8 * n : 8 * n + 8], "little") for n in range(ROUNDS)]
    while True:
        left, right = place >> half, place & low
        for word in keys:
            left, right = right, left ^ (_mix(right + word) & low)
        place = left << half | right
        if place < size:
            return place


def _mix(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & _MASK
    return value ^ value >> 31


def blend(weights: Array, size: int = BLOCK) -> tuple[Array, Array, Array]:
    """A block of draws in proportion to weights: always from whoever lags most behind its share.

    The greedy rule of Megatron-LM's `build_blending_indices`; the first of equals is taken.

    Args:
        weights: Positive, one for each source.
        size: Draws.

    Returns:
        The source of each draw; how many draws of that source come before it; draws per source.
    """
    shares = weights / weights.sum()
    counts = np.zeros(len(weights), dtype=np.int64)
    sources, ranks = np.zeros(size, dtype=np.int32), np.zeros(size, dtype=np.int64)
    if len(weights) == 1:
        return sources, np.arange(size), np.array([size])
    for place in range(size):
        chosen = int(np.argmax(shares * max(place, 1) - counts))
        sources[place], ranks[place] = chosen, counts[chosen]
        counts[chosen] += 1
    return sources, ranks, counts


@dataclass(frozen=True)
class _Part:
    """One token shard, whose file is mapped when a sequence of it comes first."""

    path: str
    length: int  # tokens
    source: int

    @cached_property
    def mapped(self) -> Mapped:
        """Its file."""
        return map_tokens(self.path)


@dataclass(frozen=True)
class _Group:
    """Sequences that are drawn together: those of a source, or of all."""

    name: str
    parts: tuple[_Part, ...]
    ends: Array  # sequences up to and with each part


class ReleaseTokens:
    """Iterate over fixed-length sequences of a release, pass by pass.

    Each sample is a dict of `tokens` (int32, sequence_length), `loss_mask` (uint8, 0 on padding),
    `cu_seqlens` (int32: 0, the ends of the documents inside, sequence_length) and `source_id` (the
    place in `sources`). A window never crosses a token shard; its last one is padded with the
    end-of-document token.

    A pass ends at the next multiple of `limit`; with weights and no limit it never ends. Iterating
    again goes on behind the last sample that was given, in the same pass or in the next.

    Pickled, it is the release's name and digest, and what was asked of it. Whoever unpickles it
    opens the release anew: ReleaseError if that is gone, or is not the same any more.
    """

    def __init__(  # noqa: PLR0913 -- keyword-only, and each is one thing that a trainer sets
        self,
        store: Store,
        release: str,
        *,
        sequence_length: int,
        seed: int,
        weights: Mapping[str, float] | None = None,
        rank: int = 0,
        world_size: int = 1,
        state: int = 0,
        limit: int | None = None,
    ) -> None:
        """Open a release.

        Args:
            store: The root.
            release: Its name.
            sequence_length: Tokens of a sample.
            seed: Of the order.
            weights: Source -> share of the samples; the release's mix if not given. Where that is
                empty too, every sequence comes once a pass.
            rank: Of this process: it gets every `world_size`-th sample from its rank on.
            world_size: Processes.
            state: Samples that all ranks together have had.
            limit: Samples of all ranks in a pass; with no weights, all sequences if not given. Of
                one that is no multiple of `world_size`, the first ranks get a sample more.

        Raises:
            ReleaseError: no such release, its manifest is not as released, or a file of it has
                another size (`phloem release verify` hashes them), or weights that make no sense.
        """
        least = min(sequence_length, 1 if limit is None else limit)
        if least < 1 or not 0 <= rank < world_size or state < 0:
            msg = (
                f"sequence_length {sequence_length}, rank {rank} of {world_size}, state {state},"
                f" limit {limit}: lengths and sizes are at least 1, and ranks count from 0"
            )
            raise ReleaseError(msg)
        self.store = store
        self.release = load_release(store, release)
        self.sources = tuple(source.id for source in self.release.sources)
        self.sequence_length, self.seed = sequence_length, seed
        self.rank, self.world_size, self.state = rank, world_size, state
        check_ended(self.release)
        self.end = self.release.end_id
        self.weights = given = dict(self.release.mix if weights is None else weights)
        self._groups = self._open(store, given)
        self.limit = limit if limit or given else self.sequences
        shares = [given[group.name] if given else 1.0 for group in self._groups]
        small = [
            g.name for g, w in zip(self._groups, shares, strict=True) if w * BLOCK < sum(shares)
        ]
        if small:
            msg = f"weights of {', '.join(small)} are below 1/{BLOCK} of all: raise them, or set 0"
            raise ReleaseError(msg)
        self._pattern, self._ranks, self._counts = blend(np.array(shares, dtype=np.float64))

    def _open(self, store: Store, weights: Mapping[str, float]) -> list[_Group]:
        dataset = released_dataset(store, self.release, "tokenize")
        parts = [self._part(store, shard) for shard in dataset.shards if shard.facts["tokens"]]
        if not weights:
            groups = [self._group("", parts)]
        else:
            self._check_weights(weights)
            chosen = [n for n, source in enumerate(self.sources) if weights.get(source, 0) > 0]
            groups = [
                self._group(self.sources[n], [part for part in parts if part.source == n])
                for n in chosen
            ]
        empty = [group.name or "the release" for group in groups if not group.parts]
        if empty or not groups:
            msg = (
                f"no tokens to draw from: {', '.join(empty) or 'no source'} of {self.release.name}"
            )
            raise ReleaseError(msg)
        return groups

    def _check_weights(self, weights: Mapping[str, float]) -> None:
        for source, weight in weights.items():
            if source not in self.sources:
                hint = nearest(source, self.sources)
                msg = f"release {self.release.name} has no source {source!r}; {hint}"
                raise ReleaseError(msg)
            if not 0 <= weight < float("inf"):
                msg = f"weight {weight} of {source}; weights are finite and not negative"
                raise ReleaseError(msg)

    def _part(self, store: Store, shard: Shard) -> _Part:
        path = shard.path(TOKENS)
        if not store.exists(path) or store.size(path) != shard.file(TOKENS).bytes:
            verify = command("release", "verify", self.release.name, root=store.root)
            msg = f"{path} is not whole; see `{verify}`"
            raise ReleaseError(msg)
        source = self.sources.index(shard.facts["source"])
        return _Part(store.local_path(path), shard.facts["tokens"], source)

    def _group(self, name: str, parts: list[_Part]) -> _Group:
        counts = [-(-part.length // self.sequence_length) for part in parts]
        return _Group(name, tuple(parts), np.cumsum(counts, dtype=np.int64))

    def __reduce__(self) -> tuple[Callable[..., ReleaseTokens], tuple[Any, ...]]:
        """By name: the tokens stay where they are."""
        asked = {
            name: getattr(self, name)
            for name in ("sequence_length", "seed", "weights", "rank", "world_size", "state")
        }
        asked["limit"] = self.limit
        return _open_again, (self.store, self.release.name, self.release.digest, asked)

    @property
    def sequences(self) -> int:
        """Sequences that there are: with no weights, the length of a pass."""
        return sum(int(group.ends[-1]) for group in self._groups)

    def numbers(self, later: int = 0) -> range | count[int]:
        """What this rank has before it in the pass at hand: places in the one global order.

        Args:
            later: Or in the pass that comes so many later.

        Raises:
            ReleaseError: there is none, since the one at hand never ends.
        """
        if self.limit is not None:
            begun = self.state // self.limit + later
            first = begun * self.limit if later else self.state
            return range(first + self.rank, (begun + 1) * self.limit, self.world_size)
        if later:
            msg = (
                f"release {self.release.name} is drawn from by weights, which never ends: it cannot"
                " be begun again; open it with a limit, the samples of a pass"
            )
            raise ReleaseError(msg)
        return count(self.state + self.rank, self.world_size)

    def __iter__(self) -> Iterator[Sample]:
        """Samples of this rank up to the end of the pass; `state` moves on with each."""
        stop = None if self.limit is None else (self.state // self.limit + 1) * self.limit
        for number in self.numbers():
            after = number - self.rank + self.world_size
            self.state = after if stop is None else min(after, stop)
            yield self.sample(number)
        self.state = self.state if stop is None else stop

    def sample(self, number: int) -> Sample:
        """The sample at a place of the one global order."""
        block, place = divmod(number, BLOCK)
        chosen = int(self._pattern[place])
        draw = block * int(self._counts[chosen]) + int(self._ranks[place])
        group = self._groups[chosen]
        size = int(group.ends[-1])
        epoch, position = divmod(draw, size)
        key = f"{self.seed}/{group.name}/{epoch}".encode()
        return self._sequence(group, permute(position, size, key))

    def _sequence(self, group: _Group, sequence: int) -> Sample:
        number = int(np.searchsorted(group.ends, sequence, side="right"))
        part = group.parts[number]
        before = int(group.ends[number - 1]) if number else 0
        length = self.sequence_length
        tokens = np.full(length, self.end, dtype=np.int32)
        found, inside = part.mapped.read((sequence - before) * length, tokens)
        mask = np.zeros(length, dtype=np.uint8)
        mask[:found] = 1
        padding = [found] if found < length else []
        return {
            "tokens": tokens,
            "loss_mask": mask,
            # 0, where documents begin inside, where the padding begins, and the length.
            "cu_seqlens": np.concatenate([[0], *inside, padding, [length]]).astype(np.int32),
            "source_id": part.source,
        }


def _open_again(store: Store, name: str, digest: str, asked: Mapping[str, Any]) -> ReleaseTokens:
    tokens = ReleaseTokens(store, name, **asked)
    if tokens.release.digest != digest:
        msg = (
            f"release {name} is not the one that was open: its digest was {digest[:12]} and is"
            f" {tokens.release.digest[:12]}; open it anew"
        )
        raise ReleaseError(msg)
    return tokens


def as_torch(tokens: ReleaseTokens, *, batch_size: int = 1) -> Any:
    """A `torch.utils.data.IterableDataset` of the samples, for a `DataLoader` with any workers.

    Each time that it is iterated over, it gives the next pass: of `limit` samples, or of all
    sequences where there are no weights. One that was left early is not gone on with: to do so,
    open the tokens with the `state` that the batches were, `batch_size * world_size` for each.

    Of each sample:
        tokens: int64, sequence_length; int64 is what `cross_entropy` takes.
        loss_mask: uint8, sequence_length; 0 on padding.
        position_ids: int64, sequence_length; 0, 1, 2 … anew in each document and in the padding. It
            stands for `cu_seqlens`, whose length differs from sample to sample, and is what
            transformers and Megatron-LM's `reset_position_ids` take packed documents by.
        source_id: int64.

    Args:
        tokens: Of this rank.
        batch_size: As the DataLoader has it: then its workers do not change the order.

    Raises:
        ImportError: PyTorch is not installed; with what to do.

    Example:
        >>> import phloem
        >>> from torch.utils.data import DataLoader
        >>> tokens = phloem.open_release("phloem-data", "first", sequence_length=512, seed=1)
        >>> loader = DataLoader(phloem.as_torch(tokens, batch_size=4), batch_size=4)
        >>> next(iter(loader))["position_ids"].shape
        torch.Size([4, 512])
    """
    try:
        from phloem.catalog.handoff.torch_tokens import TorchTokens
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        msg = f"PyTorch is not installed: {install_extra('torch')}; or iterate without as_torch"
        raise ImportError(msg) from None
    return TorchTokens(tokens, batch_size)
