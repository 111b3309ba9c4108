"""The functions that `import phloem` gives: what the commands do, for Python.

Each imports what it needs when it is called: whoever trains imports no recipe and no database.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from phloem.catalog.errors import UseError
from phloem.catalog.store import Store

if TYPE_CHECKING:
    from phloem.catalog.handoff.loader import ReleaseTokens
    from phloem.catalog.manifest import Shard
    from phloem.catalog.story import Story
    from phloem.pipeline.recipe import Recipe
    from phloem.pipeline.run import Result

Path = str | os.PathLike[str]


def run(  # noqa: PLR0913 -- keyword-only, and each is one thing that a user asks of a run
    recipe: Path | Recipe,
    *,
    root: Path,
    input: Path | None = None,  # noqa: A002 -- as the command calls it
    format: str | None = None,  # noqa: A002 -- likewise
    text_column: str = "text",
    language: str = "und",
    workers: int | None = None,
    skip_unavailable: bool = False,
    release: str = "",
    date: str = "",
) -> Result:
    """Run a recipe: do what is missing, and make its release and its report.

    What is done is not done again, and neither the number of workers nor an interruption changes a
    byte. Ops, cards, recipes and policies of your own are found through the nearest `phloem.toml`,
    in the current folder or above it. The workers are processes of this machine, which run nothing
    of the program that calls this: a script needs no guard, and a notebook, `python -c` and stdin
    do as well. The process that starts them, of about 250 MB, stays until the program ends. On a
    terminal the stages are shown on stderr; `phloem status` shows them anywhere. A program runs one
    recipe at a time. For a cluster or a batch queue, see the command.

    Args:
        recipe: A recipe's name, the path of its file, or the recipe itself.
        root: Folder or object-store URL that holds all that runs fetch and make.
        input: Read your own files instead of the recipe's sources: a path, folder, glob or URL.
            What comes out is not released: for that, write a source card.
        format: Of the input, where names do not tell: jsonl, json, csv, parquet, arrow, txt, zip
            or tar.
        text_column: Column or JSON key of the input that holds the text.
        language: BCP-47 tag of the text of the input; und: nobody knows.
        workers: Processes; by default as many as this process may use cores.
        skip_unavailable: Go on without sources that this machine cannot have; report and release
            name them.
        release: Name of the release; by default the recipe's and the digest of what it holds.
        date: Date that the release bears, YYYY-MM-DD; by default none.

    Returns:
        The run's id, what it read and what became of that, and where report and release lie.

    Raises:
        UseError: something was asked for that cannot be, such as a recipe that does not exist.
        PhloemError: tasks failed, no document could be read, or the policy refuses the release.

    Example:
        >>> import phloem
        >>> recipe = phloem.load_recipe("quickstart").model_copy(update={"sources": ("udhr",)})
        >>> result = phloem.run(recipe, root="phloem-data", workers=2, release="first")
        >>> result.account.read, result.account.kept, result.release
        (117, 117, 'first')
    """
    import sys

    from rich.console import Console

    from phloem.pipeline import run as running
    from phloem.pipeline.request import OwnFiles, find_request
    from phloem.pipeline.watch.progress import Progress

    request, registry, workspace = find_request(
        os.fspath(recipe) if isinstance(recipe, str | os.PathLike) else recipe,
        _named(root),
        workers=workers,
        own=None if input is None else OwnFiles(os.fspath(input), text_column, language, format),
        skip_unavailable=skip_unavailable,
        release=release,
        date=date,
    )
    console = Console(stderr=True, quiet=not sys.stderr.isatty())
    result = running.run(request, registry, workspace, Progress(console))
    if result.refusal:
        raise result.refusal
    running.require_read(result.account, request.recipe)
    return result


def load_recipe(recipe: Path) -> Recipe:
    """Load a recipe, checked against the ops, columns, sources and policies that there are.

    Args:
        recipe: Its name, or the path of its file.

    Raises:
        UseError: there is no such recipe, or it has faults, all of which are named.

    Example:
        >>> import phloem
        >>> recipe = phloem.load_recipe("quickstart")
        >>> recipe.policy, recipe.sources[0], len(recipe.keep) > 10
        ('quickstart', 'udhr', True)
    """
    from phloem.pipeline import recipe as recipes
    from phloem.pipeline.registry.registry import load_registry
    from phloem.pipeline.workspace import find_workspace

    workspace = find_workspace()
    known = sorted(load_registry(workspace).cards)
    return recipes.load_recipe(os.fspath(recipe), workspace, known)


def open_release(  # noqa: PLR0913 -- keyword-only, and each is one thing that a trainer sets
    root: Path,
    name: str,
    *,
    sequence_length: int,
    seed: int,
    weights: Mapping[str, float] | None = None,
    rank: int = 0,
    world_size: int = 1,
    state: int = 0,
    limit: int | None = None,
) -> ReleaseTokens:
    """Open a release for training: its tokens in sequences of one length, in a fixed order.

    Args:
        root: Folder or object-store URL in which it was made.
        name: Of the release.
        sequence_length: Tokens of a sample.
        seed: Of the order.
        weights: Source -> share of the samples; the release's mix if not given. Where that is
            empty too, every sequence comes once a pass.
        rank: Of this process: it gets every `world_size`-th sample from its rank on.
        world_size: Processes.
        state: Samples that all ranks together have had: what a checkpoint keeps.
        limit: Samples of all ranks in a pass; with no weights, all sequences if not given.

    Raises:
        PhloemError: there is no such release, a file of it has another size than released (what
            it holds, `phloem release verify` hashes), or weights that make no sense.

    Example:
        >>> import phloem
        >>> tokens = phloem.open_release("phloem-data", "first", sequence_length=512, seed=1)
        >>> sample = next(iter(tokens))
        >>> sample["tokens"].shape, sample["loss_mask"].dtype, tokens.state
        ((512,), dtype('uint8'), 1)
    """
    from phloem.catalog.handoff.loader import ReleaseTokens

    return ReleaseTokens(
        _there(root),
        name,
        sequence_length=sequence_length,
        seed=seed,
        weights=weights,
        rank=rank,
        world_size=world_size,
        state=state,
        limit=limit,
    )


def ledger(root: Path, run: str | None = None) -> pa.RecordBatchReader:
    """Read the ledger of a run as Arrow: a row for every document, with its verdict and the reason.

    It is read batch by batch, as it may not fit into memory; `read_all()` and `read_pandas()` read
    the rest at once. catalog/README.md says what each column means.

    Args:
        root: Folder or object-store URL of the run.
        run: Its id; by default the newest run that came to its decisions.

    Raises:
        UseError: there is no such root or run, or the run's ledger is gone.

    Example:
        >>> import phloem
        >>> ledger = phloem.ledger("phloem-data").read_all()
        >>> ledger.num_rows, ledger["verdict"].unique().to_pylist()
        (117, ['kept'])
        >>> {"id", "source", "verdict", "reason", "value", "threshold"} <= set(ledger.column_names)
        True
    """
    from phloem.catalog.columns import schema
    from phloem.catalog.ledger import LEDGER
    from phloem.catalog.runs import ViewError, dataset_of, load_run, newest_run

    store = _there(root)
    record = load_run(store, run or newest_run(store))
    decided = dataset_of(store, record, "decide")
    if decided is None:
        raise ViewError(f"run {record['run_id']} has no ledger in {store.root}; run it again")
    return pa.RecordBatchReader.from_batches(schema(LEDGER), _batches(store, decided.shards))


def _batches(store: Store, shards: tuple[Shard, ...]) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    for shard in shards:
        with store.open(shard.path("ledger.parquet")) as file:
            yield from pq.ParquetFile(file).iter_batches()


def query(root: Path, sql: str, run: str | None = None) -> pa.Table:
    """Ask the catalog in SQL: one query over the views of a root, as an Arrow table.

    `sources`, `decisions`, `quarantine`, `duplicates` and `measures` tell of one run; `runs`,
    `datasets`, `shards` and `releases` of the whole root. catalog/README.md says what each holds.
    Nothing but a query runs, and no file outside the root is read.

    Args:
        root: Folder or object-store URL.
        sql: A query, as DuckDB understands it.
        run: Id of the run that is told of; by default the newest that came to its decisions.

    Raises:
        UseError: there is no such root or run, or what was asked is no query, or fails.

    Example:
        >>> import phloem
        >>> found = phloem.query("phloem-data", "select name, tokens from releases")
        >>> found.to_pylist()
        [{'name': 'first', 'tokens': 531111}]
    """
    from phloem.catalog import views

    with views.connect(_there(root), run) as connection:
        return views.select_arrow(connection, sql)


def explain(root: Path, document: str, run: str | None = None) -> Story:
    """Tell one document's whole story, from its source card to its tokens.

    Args:
        root: Folder or object-store URL.
        document: The document's id, or as many of its first digits as tell it apart.
        run: Id of the run that is told of; by default the newest that came to its decisions.

    Raises:
        UseError: there is no such root, run or document, or several begin so.

    Example:
        >>> import phloem
        >>> story = phloem.explain("phloem-data", "090c63c0")
        >>> story.source, story.language, story.verdict, story.releases
        ('udhr', 'sw', 'kept', ('first',))
        >>> [rule.value for rule in story.rules if rule.name == "too_short"]
        [1712]
    """
    from phloem.catalog import story

    return story.explain(_there(root), document, run)


def _named(root: Path) -> str:
    """The URL of a root, which need not be there. Raises UseError for none."""
    named = os.fspath(root)
    if not named.strip():
        raise UseError("root is empty; give a folder, or the URL of one")
    return named


def _there(root: Path) -> Store:
    """A root that is there. Raises UseError for one that no run has made."""
    store = Store(_named(root))
    if not store.exists(""):
        raise UseError(f"there is no root at {root}; phloem.run makes one")
    return store
