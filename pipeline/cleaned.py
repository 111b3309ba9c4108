"""Documents of a source as a run cleans them, for what reads text outside a run.

The same files under the same pins, through the same connectors, extractors and rewrites. What is
ingested is committed to the root, so that it is read once.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from phloem.catalog.columns import TEXT
from phloem.catalog.manifest import arrow_batches
from phloem.catalog.store import Store
from phloem.filters.op import REWRITE, find_op
from phloem.pipeline.reading import Reading
from phloem.pipeline.stage import made
from phloem.pipeline.stages import ingest, run_task
from phloem.pipeline.stages.measure import chain, declared, text_files, with_declared
from phloem.pipeline.workspace import Workspace
from phloem.sources.limits import Limits

REWRITES = ("nfc", "whitespace")
"""What every recipe of the project does to a text before it is measured."""


def cleaned(store: Store, workspace: Workspace, reading: Reading) -> Iterator[pa.RecordBatch]:
    """The documents of a source in batches of its text files, with the text that a run measures.

    A rewrite of its card that counts what is frequent in all of the source is left out.

    Args:
        store: The root: what is ingested comes into it.
        workspace: Whose ops a card may name.
        reading: The source.
    """
    of_all = [find_op(name, {}) for name in REWRITES]
    ops = [op for op in chain(reading.card, of_all, workspace.ops) if op.kind == REWRITE]
    rewrites = [op for op in ops if not op.counts]
    of_card = declared(reading.card)
    for task in ingest.tasks(reading, (workspace.folder, workspace.ops), Limits()):
        for _, file in text_files(made(store, task) or run_task(store, task)):
            for batch in arrow_batches(store, file):
                found = with_declared(batch, of_card)
                for op in rewrites:
                    place = found.schema.get_field_index(TEXT.name)
                    found = found.set_column(place, TEXT.field, op(found).arrays[0])
                yield found
