"""What a whole run of one job would take on rented machines, for a person or as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from phloem.catalog.plain import Json
from phloem.catalog.store import Store
from phloem.pipeline.bench.cost import (
    PRICES,
    MeasuredRun,
    Prices,
    Size,
    costs,
    held,
    load_prices,
    measured,
    rows_of,
    size_of,
    unmeasured,
)
from phloem.pipeline.job import Job

SHOWN_HELD = 2  # steps that hold most memory


@dataclass(frozen=True)
class Estimate:
    """What a run from nothing takes, with all that the numbers stand on.

    Attributes:
        size: How much it reads.
        known: Whether that is known, and not taken from the size of what is packed.
        prices: What machines are rented.
        run: The measured run that everything is scaled from.
    """

    size: Size
    known: bool
    prices: Prices
    run: MeasuredRun

    def to_json(self) -> dict[str, Json]:
        """All of it as plain data."""
        return {
            "size": {**asdict(self.size), "known": self.known},
            "stages": [asdict(each) for each in costs(self.size, self.prices, self.run)],
            "memory": [asdict(each) for each in held(self.size, self.run)],
            "prices": self.prices.model_dump(),
            "measured": {
                "date": self.run.date,
                "machine": self.run.machine,
                "sample": self.run.sample,
            },
        }

    def head(self) -> str:
        """What is priced, in a line."""
        about = "" if self.known else "about "
        return (
            f"cost of a run from nothing: {about}{self.size.text_bytes / 1e6:,.1f} MB of text in"
            f" {about}{self.size.documents:,} documents, on up to {self.prices.workers} machines"
            f" {self.prices.machine}"
        )

    def rows(self) -> list[dict[str, Json]]:
        """The stages as rows for a person, with their sum at the end."""
        return rows_of(costs(self.size, self.prices, self.run), self.prices.currency)

    def notes(self) -> Iterator[str]:
        """The steps that hold most memory, and where the numbers come from."""
        most = sorted(held(self.size, self.run), key=lambda each: -each.bytes)
        for each in most[:SHOWN_HELD]:
            size = f"{each.bytes / 1e9:,.3f} GB"
            yield f"memory of one process: {each.step} ({each.where}), {size}"
        if unmeasured(self.run):
            yield f"not measured yet, and left out: {', '.join(unmeasured(self.run))}"
        yield f"scaled from: {self.run.sample}; {self.run.machine}"
        yield f"prices of {self.prices.date}: {self.prices.note.strip()}"


def estimate_of(job: Job, store: Store, prices: Path | None = None) -> Estimate:
    """What a whole run of a job takes, from nothing.

    Args:
        job: What would run.
        store: The root: what it holds of the job's sources is known, the rest is guessed.
        prices: A file of prices; None: the project's own assumptions.

    Raises:
        PricesError: the file says something that it cannot.
        StageError: the job reads nothing.
    """
    rented, run = load_prices(prices or PRICES), measured()
    size, known = size_of(job, store, run)
    return Estimate(size, known, rented, run)
