"""What `loader.as_torch` gives; PyTorch is imported here and nowhere else."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from phloem.catalog.handoff.loader import ReleaseTokens, Sample


class TorchLoader(DataLoader):
    """A DataLoader whose workers are told by number which samples to read.

    So their order is made in one place, and `tokens.state` counts what was handed out.
    """

    def __init__(self, tokens: ReleaseTokens, **options: Any) -> None:
        """Take the options of the DataLoader but its dataset and its sampler."""
        super().__init__(_Samples(tokens), sampler=_Numbers(tokens), **options)
        self.tokens = tokens

    def __iter__(self) -> Iterator[Any]:
        """Batches up to the end of the pass."""
        tokens, begun, stop = self.tokens, self.tokens.state, self.tokens.stop
        step = (self.batch_size or 1) * tokens.world_size
        for number, batch in enumerate(super().__iter__(), 1):
            after = begun + number * step
            tokens.state = after if stop is None else min(after, stop)
            yield batch
        tokens.state = tokens.state if stop is None else stop


class _Numbers:
    """Those of the pass at hand, anew each time."""

    def __init__(self, tokens: ReleaseTokens) -> None:
        self.tokens = tokens

    def __iter__(self) -> Iterator[int]:
        return iter(self.tokens.numbers())

    def __len__(self) -> int:
        numbers = self.tokens.numbers()
        if not isinstance(numbers, range):
            msg = "a pass of weighted tokens has no length: open them with a limit"
            raise TypeError(msg)
        return len(numbers)


class _Samples:
    """Samples by number, as tensors.

    A worker that was not forked opens the release when it is first asked for a sample: an error
    then reaches the trainer, where one in unpickling would only end the worker.
    """

    def __init__(self, tokens: ReleaseTokens) -> None:
        self._tokens: ReleaseTokens | bytes = tokens

    def __getstate__(self) -> dict[str, bytes]:
        tokens = self._tokens
        return {"_tokens": tokens if isinstance(tokens, bytes) else pickle.dumps(tokens)}

    def _open(self) -> ReleaseTokens:
        if isinstance(self._tokens, bytes):
            opened: ReleaseTokens = pickle.loads(self._tokens)  # noqa: S301 -- as written above
            self._tokens = opened
        return self._tokens

    def __getitem__(self, number: int) -> Sample:
        sample = self._open().sample(number)
        bounds = sample["cu_seqlens"]
        begun = np.repeat(bounds[:-1], np.diff(bounds))
        return {
            "tokens": torch.from_numpy(sample["tokens"].astype(np.int64)),
            "loss_mask": torch.from_numpy(sample["loss_mask"]),
            "position_ids": torch.from_numpy(np.arange(len(begun)) - begun),
            "source_id": sample["source_id"],
        }
