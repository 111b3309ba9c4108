"""Every compiled loop called once: at set-up to compile it, and before workers are forked.

`python -m phloem.pipeline.engines.warm` compiles what this environment's cache lacks; it needs
neither models nor a root. A process that has called a loop has its machine code in memory, and so
has each that is forked from it.
"""

from __future__ import annotations

import sys
import time

import pyarrow as pa

from phloem.catalog.columns import LANGUAGE, TEXT
from phloem.filters import bpe, fasttext_model, minhash, passages, pii
from phloem.filters.contract import example
from phloem.filters.kernels import all_compiled, note_all_compiled
from phloem.filters.op import ops
from phloem.pipeline.stages import candidates

SAID = "Write to o'brien@mail.de: the quick brown fox jumps over the lazy dog."


def warm() -> None:
    """Call every loop: of each op on its own examples, and what else calls one.

    No op is called that needs a model, and none of a workspace. It starts no thread.
    """
    for op in ops().values():
        for given, _ in op.examples:
            if op.counts:
                op.hashes(example(op, given))
            elif not op.files and not op.required:
                op(example(op, given))
    batch = pa.RecordBatch.from_pydict({TEXT.name: [SAID], LANGUAGE.name: ["en"]})
    (spans,) = pii.pii(batch).arrays[:1]
    pii.replace_spans(batch[TEXT.name], spans, pii.ALL)
    passages.read(batch[TEXT.name])
    fasttext_model.compile_kernels()
    minhash.band(minhash.minhash(batch).arrays[0], number=0, rows=1)
    _, hashes = minhash.shingles(batch[TEXT.name])
    hashes.flags.writeable = False  # as records hold them
    minhash.jaccard(hashes, hashes)
    bpe.compile_kernel()
    candidates.compile_kernels()


def main() -> int:
    """Compile what is not compiled, and say how long it took."""
    if not all_compiled():
        began = time.monotonic()
        warm()
        note_all_compiled()
        sys.stdout.write(f"compiled kernels in {time.monotonic() - began:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
