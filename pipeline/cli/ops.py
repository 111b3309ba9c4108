"""`phloem ops`: the ops that there are, and whether they keep their contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from phloem.catalog.advice import ROOT
from phloem.catalog.errors import UseError
from phloem.catalog.nearest import nearest
from phloem.pipeline.cli.console import listing, note, put
from phloem.pipeline.cli.options import AsJson, Root, open_root

if TYPE_CHECKING:
    from phloem.filters.op import Op

app = typer.Typer(
    name="ops", help="Ops: functions that measure or rewrite documents.", no_args_is_help=True
)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the ops, with the columns that each reads and writes; parameters are in --json."""
    from phloem.filters.op import ops
    from phloem.pipeline.workspace import find_workspace

    rows = [
        {
            "op": op.name,
            "kind": op.kind,
            "version": op.version,
            "reads": [column.name for column in op.reads],
            "writes": [column.name for column in op.writes],
            "parameters": {**dict.fromkeys(op.required), **op.defaults},
            "required": list(op.required),
            "does": (op.function.__doc__ or "").strip().split("\n")[0],
        }
        for op in ops(find_workspace().ops).values()
    ]
    listing(rows, ["op", "kind", "version", "reads", "writes", "does"], as_json=as_json)


@app.command("check")
def check(
    name: Annotated[list[str] | None, typer.Argument(help="Names of ops; all by default.")] = None,
    root: Root = ROOT,
) -> None:
    """Hold ops to their contract: examples, splitting, nulls, slices, determinism, docs.

    Run it on an op of your own before a recipe names it.

    [bold]phloem ops check statistics[/bold]
    """
    from phloem.filters.contract import breaches
    from phloem.filters.op import ops
    from phloem.pipeline.registry.models import models
    from phloem.pipeline.workspace import find_workspace

    chosen = _chosen(name or (), ops(find_workspace().ops))
    store = open_root(root)
    found = models(store, chosen, note)
    paths = {name: ref.on_this_machine(store) for name, ref in found.items()}
    broken = False
    for op in chosen:
        faults = breaches(op, paths)
        broken = broken or bool(faults)
        put(f"{'FAIL' if faults else 'ok  '} {op.name}")
        for fault in faults:
            put(f"     {fault}")
    if broken:
        raise typer.Exit(1)


def _chosen(names: Sequence[str], known: Mapping[str, Op]) -> list[Op]:
    """The ops of these names, or all. Raises UseError naming all that are not known."""
    faults = [
        f"no op named {name!r}; {nearest(name, known)}" for name in names if name not in known
    ]
    if faults:
        raise UseError("; ".join(faults))
    return [known[name].sampled for name in names or known]
