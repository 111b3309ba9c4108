"""`phloem bench`: how fast ops, the engine and chains are, and how faithful extraction is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from phloem.pipeline.cli.console import listing, note
from phloem.pipeline.cli.options import AsJson

app = typer.Typer()


@app.command()
def bench(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            exists=True,
            file_okay=False,
            help="Folder of .jsonl.gz files; each line has id, text and, if known, lang. For"
            " extraction: a folder in which the packages that it fetches are kept.",
        ),
    ] = None,
    what: Annotated[
        str,
        typer.Argument(
            metavar="[ops|breakdown|engine|chain|parity|dedup|start|extraction]",
            help="Every op and a whole run; or what each stage and op opens, writes, computes and"
            " costs; or what Beam adds to a plain loop, what a second worker"
            " gains, and how time and memory grow with the corpus; or a whole chain beside those of"
            " other makers, and how often both decide alike; or how often each of datatrove's rules"
            " decides as ours, and how fast; or what deduplication finds of copies that are"
            " planted, in each language, and how fast; or how long commands take to begin;"
            " or how faithful the text of HTML is to the sources that pages were made of.",
        ),
    ] = "ops",
    op: Annotated[
        list[str] | None,
        typer.Option(
            "--op",
            help="Measure this op only, or 'language model', 'tokenize' or 'whole run'; again for"
            " more.",
        ),
    ] = None,
    repeat: Annotated[
        int, typer.Option("--repeat", min=1, help="Passes, of which the best counts.")
    ] = 3,
    peers: Annotated[
        bool,
        typer.Option(
            "--peers",
            help="Measure other makers' tools that are installed, on the same text in the same"
            " run: only such ratios count, since machines drift.",
        ),
    ] = False,
    size: Annotated[
        list[int] | None,
        typer.Option(
            "--size",
            min=1,
            help="MB of text that the engine is measured on; again for more. By default 10, 100 and"
            " 1000, which needs 15 GB of disk.",
        ),
    ] = None,
    datatrove: Annotated[
        str | None,
        typer.Option(
            "--datatrove",
            metavar="PYTHON",
            help="For chain, parity and dedup: interpreter of an environment with"
            " datatrove[processing,io].",
        ),
    ] = None,
    rensa: Annotated[
        str | None,
        typer.Option(
            "--rensa",
            metavar="PYTHON",
            help="For dedup: interpreter of an environment with rensa, measured too.",
        ),
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(
            "--seed", help="For dedup: of the copies; again for more. By default 1 and 2."
        ),
    ] = None,
    synthetic: Annotated[
        int | None,
        typer.Option(
            "--synthetic",
            min=1,
            metavar="DOCUMENTS",
            help="For dedup, in place of --data: time and memory of so many made-up documents, from"
            " signatures to removals.",
        ),
    ] = None,
    dolma: Annotated[
        str | None,
        typer.Option(
            "--dolma",
            metavar="PYTHON",
            help="For chain: interpreter of an environment with dolma, measured too.",
        ),
    ] = None,
    trafilatura: Annotated[
        str | None,
        typer.Option(
            "--trafilatura",
            metavar="PYTHON",
            help="For extraction: interpreter of an environment with trafilatura, measured too.",
        ),
    ] = None,
    generator: Annotated[
        list[str] | None,
        typer.Option("--generator", help="For extraction: pages of this one only; again for more."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure ops and the whole run, the engine, chains, rules, dedup, starts, or extraction.

    [bold]phloem bench --data texts --op statistics --peers[/bold]
    [bold]phloem bench chain --data texts --datatrove other/bin/python[/bold]
    """
    columns: Sequence[str]
    rows: Iterable[dict[str, Any]]
    if synthetic:
        _synthetic(what, synthetic, as_json=as_json)
        return
    data = _folder(what, data)
    if what == "ops":
        from phloem.pipeline.bench import ops

        columns = ops.COLUMNS
        rows = ops.bench(data, names=op or [], repeat=repeat, peers=peers)
    elif what == "breakdown":
        from phloem.pipeline.bench import breakdown
        from phloem.pipeline.bench.cost import load_prices

        columns = breakdown.COLUMNS
        rows = breakdown.bench_breakdown(data, load_prices(), told=note)
    elif what == "engine":
        from phloem.pipeline.bench import engine

        columns = engine.COLUMNS
        rows = _noted(engine.bench_engine(data, sizes_mb=size or [10, 100, 1000]), "wall s", " s")
    elif what == "chain":
        from phloem.pipeline.bench import chain

        others = {"datatrove": _needed(what, datatrove)} | ({"dolma": dolma} if dolma else {})
        columns = chain.COLUMNS
        rows = _noted(chain.bench_chain(data, peers=others, repeat=repeat, told=note), "says")
    elif what == "parity":
        from phloem.pipeline.bench import parity

        columns = parity.COLUMNS
        given = parity.bench_parity(
            data, datatrove=_needed(what, datatrove), repeat=repeat, told=note
        )
        rows = _noted(given, "alike")
    elif what == "dedup":
        from phloem.pipeline.bench import dedup

        asked = {"datatrove": datatrove, "rensa": rensa}
        named = {tool: python for tool, python in asked.items() if python}
        columns = dedup.COLUMNS
        rows = dedup.bench_dedup(data, peers=named, seeds=seed or [1, 2], told=note)
    elif what == "start":
        from phloem.pipeline.bench import start

        columns = start.COLUMNS
        rows = start.bench_start(data, repeat=repeat)
    elif what == "extraction":
        from phloem.pipeline.bench import extraction

        columns = extraction.COLUMNS
        made = extraction.load_generators(generator or [])
        rows = extraction.bench_extraction(data, made, trafilatura=trafilatura, told=note)
    else:
        known = "ops, breakdown, engine, chain, parity, dedup, start and extraction"
        raise typer.BadParameter(f"{what!r} is nothing to measure; there are {known}")
    listing(list(rows), columns, as_json=as_json)


def _synthetic(what: str, documents: int, *, as_json: bool) -> None:
    if what != "dedup":
        raise typer.BadParameter(f"{what} measures no made-up documents; dedup does")
    from phloem.pipeline.bench import synthetic

    rows = _noted(synthetic.bench_synthetic(documents, told=note), "wall s", " s")
    listing(list(rows), synthetic.COLUMNS, as_json=as_json)


def _folder(what: str, data: Path | None) -> Path:
    if data is None:
        raise typer.BadParameter(f"{what} needs --data FOLDER")
    return data


def _needed(what: str, datatrove: str | None) -> str:
    if datatrove is None:
        raise typer.BadParameter(f"{what} needs --datatrove PYTHON, an interpreter that has it")
    return datatrove


def _noted(rows: Iterable[dict[str, Any]], column: str, unit: str = "") -> Iterable[dict[str, Any]]:
    """The rows, each told as it is measured: the next may take an hour."""
    for row in rows:
        note(f"{row['row']}: {row[column]}{unit}")
        yield row
