"""What `loader.as_torch` gives; PyTorch is imported here and nowhere else."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from multiprocessing import current_process
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from phloem.catalog.handoff.loader import ReleaseTokens, Sample

# A pass is noted in one word of memory that all workers share, so that those which note the same
# pass at once write the same: the number of its first worker's process, how often that had begun
# one before, and the place of the pass.
NOTED = 64  # passes that are remembered; the workers of one pass begin long before that many more
PROCESS_BITS, COUNT_BITS, PLACE_BITS = 20, 20, 23  # of 63: a million processes, and of passes


class TorchTokens(IterableDataset):
    """The samples of one rank, shared out to the workers of a DataLoader batch by batch.

    Each time that it is iterated over, with or without workers, it gives the next pass. A worker
    that was not forked opens the release when it begins: an error then reaches the trainer, where
    one in unpickling would only end the worker.
    """

    def __init__(self, tokens: ReleaseTokens, batch_size: int) -> None:
        """Take these tokens, and the batch size of the DataLoader."""
        self._tokens: ReleaseTokens | bytes = tokens
        self._length = tokens.numbers(0)
        self._batch_size = batch_size
        self._begun = 0
        self._passes = torch.zeros(NOTED, dtype=torch.int64).share_memory_()

    def __getstate__(self) -> dict[str, Any]:
        """All but what the tokens have opened."""
        tokens = self._tokens
        held = tokens if isinstance(tokens, bytes) else pickle.dumps(tokens)
        return {**self.__dict__, "_tokens": held}

    def __len__(self) -> int:
        """Samples of the pass at hand. Raises TypeError if it never ends."""
        if not isinstance(self._length, range):
            msg = "a pass of weighted tokens has no length: open them with a limit"
            raise TypeError(msg)
        return len(self._length)

    def __iter__(self) -> Iterator[Sample]:
        """This worker's samples of the next pass. Raises ReleaseError where there is none."""
        tokens, info = self._open(), get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        place = self._place(_number_of_process() - worker if info else 0)
        for step, number in enumerate(tokens.numbers(place)):
            if step // self._batch_size % workers == worker:
                yield _as_tensors(tokens.sample(number))

    def _open(self) -> ReleaseTokens:
        if isinstance(self._tokens, bytes):
            opened: ReleaseTokens = pickle.loads(self._tokens)  # noqa: S301 -- as written above
            self._tokens = opened
        return self._tokens

    def _place(self, first: int) -> int:
        """The place of the pass that begins here, from 0: one for all its workers.

        Args:
            first: Number of the process of its first worker; 0 without workers.
        """
        key = first % (1 << PROCESS_BITS) << COUNT_BITS | self._begun
        self._begun += 1
        noted = {value >> PLACE_BITS: value for value in self._passes.tolist() if value}
        last = max((value % (1 << PLACE_BITS) for value in noted.values()), default=0)
        value = noted.get(key, key << PLACE_BITS | last + 1)
        place = value % (1 << PLACE_BITS)
        self._passes[place % NOTED] = value
        return int(place) - 1


def _number_of_process() -> int:
    """Which of its parent's children this process is, from 1: `multiprocessing` names it so."""
    return int(current_process().name.rpartition("-")[2].rpartition(":")[2])


def _as_tensors(sample: Sample) -> Sample:
    """A sample whose parts have the same shape in all."""
    bounds = sample["cu_seqlens"]
    begun = np.repeat(bounds[:-1], np.diff(bounds))
    return {
        "tokens": torch.from_numpy(sample["tokens"].astype(np.int64)),
        "loss_mask": torch.from_numpy(sample["loss_mask"]),
        "position_ids": torch.from_numpy(np.arange(len(begun)) - begun),
        "source_id": sample["source_id"],
    }
