"""The tables of docs/scale.md: what runs of known sizes would take, by `pipeline/bench/cost.py`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from phloem.pipeline.bench import cost
from phloem.pipeline.bench.cost import Size
from phloem.pipeline.docs.tables import Maker, table
from phloem.pipeline.stages import STAGES

MACHINES = 250
"""Of four cores each: what a hundred hours of a thousand cores do is easy to imagine."""

TB = 1e12

ROOTS_BYTES = 1_600_000_000_000  # arXiv 2303.03915
REFINED_BYTES = 5_000_000_000_000
REFINED_EXTRACT = (2_766_953_721_769, 968_000_015)  # bytes, documents: tiiuae/falcon-refinedweb
SNAPSHOTS = 100
# Common Crawl, September 2016 (CC-MAIN-2016-40): pages, and bytes of text as gzip (WET).
SNAPSHOT = (1_720_000_000, round(4.54 * 2**40))


def sizes() -> dict[str, Size]:
    """The corpora of the page, by the name in its tables."""
    run = cost.measured()
    of_extract, documents = REFINED_EXTRACT
    pages, packed = SNAPSHOT
    return {
        "ROOTS": Size(ROOTS_BYTES, ROOTS_BYTES * run.documents // run.text_bytes),
        "RefinedWeb": Size(REFINED_BYTES, REFINED_BYTES * documents // of_extract),
        "100 snapshots": Size(
            SNAPSHOTS * packed * run.text_bytes // run.packed_bytes, SNAPSHOTS * pages
        ),
    }


def sizes_table() -> str:
    """Text, documents, text files and candidates of each corpus."""
    run = cost.measured()
    return table(
        ["corpus", "text, TB", "documents, millions", "text files", "candidates, millions"],
        [
            (
                name,
                cost.short(size.text_bytes / TB),
                cost.short(size.documents / 1e6),
                f"{cost.text_files(size):,}",
                cost.short(cost.candidates(size, run) / 1e6),
            )
            for name, size in sizes().items()
        ],
    )


def stages_table(name: str) -> str:
    """What each stage of a run over one corpus takes."""
    prices = cost.load_prices().model_copy(update={"workers": MACHINES})
    rows = cost.rows_of(cost.costs(sizes()[name], prices, cost.measured()), prices.currency)
    shown = [
        {key: f"{value:,}" if isinstance(value, int) else value for key, value in row.items()}
        for row in rows
    ]
    return table(list(rows[0]), [[row.get(key, "") for key in rows[0]] for row in shown])


def memory_table() -> str:
    """What one process holds at once, in GB."""
    run = cost.measured()
    found = [cost.held(size, run) for size in sizes().values()]
    return table(
        ["step", "where", *sizes()],
        [
            (step[0].step, step[0].where, *(cost.short(each.bytes / cost.GB) for each in step))
            for step in zip(*found, strict=True)
        ],
    )


def listed_table() -> str:
    """Of each stage, its tasks as the driver lists them, in GB of JSON."""
    run = cost.measured()
    return table(
        ["stage", *sizes()],
        [
            (
                f"`{stage}`",
                *(
                    cost.short(cost.listed_bytes(stage, size, run) / cost.GB)
                    for size in sizes().values()
                ),
            )
            for stage in (each.name for each in STAGES)
            if any(stage in cost.tasks(size, run) for size in sizes().values())
        ],
    )


TABLES: Mapping[str, Maker] = MappingProxyType(
    {
        "scale-sizes": sizes_table,
        "scale-roots": lambda: stages_table("ROOTS"),
        "scale-refinedweb": lambda: stages_table("RefinedWeb"),
        "scale-snapshots": lambda: stages_table("100 snapshots"),
        "scale-memory": memory_table,
        "scale-listed": listed_table,
    }
)
