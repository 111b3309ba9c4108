"""One self-contained HTML page for a run: it loads nothing, runs nothing, and can be mailed."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import jinja2
from duckdb import DuckDBPyConnection
from markupsafe import Markup

from phloem.catalog.runs import load_run
from phloem.catalog.store import Store
from phloem.catalog.views import connect
from phloem.reports import charts, numerals
from phloem.reports.attrition import attrition
from phloem.reports.cards import cards
from phloem.reports.duplicates import duplicates
from phloem.reports.excerpts import visible
from phloem.reports.headline import headline
from phloem.reports.languages import languages
from phloem.reports.licenses import licenses
from phloem.reports.personal import personal
from phloem.reports.provenance import provenance
from phloem.reports.quarantine import quarantine
from phloem.reports.run import Run, run_of
from phloem.reports.samples import samples
from phloem.reports.sections import sections
from phloem.reports.stages import stages
from phloem.reports.tokens import load_token_counts, tokens

LONG_TABLE = 50  # rows from which the rest of a table is folded away
SHOWN_ROWS = 30  # of a long table

# BCP 47 section 2.1, as far as a tag needs to be known to be safe and of use in `lang`.
_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


def write_report(store: Store, run_id: str) -> str:
    """Make a run's page and write it; returns its name under the root.

    Raises phloem.catalog.runs.ViewError if the root holds no such run.
    """
    run = run_of(load_run(store, run_id))
    connection = connect(store, run_id)
    try:
        page = render(run, collect(connection, store, run))
    finally:
        connection.close()
    name = f"reports/{run_id}/index.html"
    store.write_bytes(name, page.encode())
    return name


def collect(connection: DuckDBPyConnection, store: Store, run: Run) -> dict[str, Any]:
    """The data of every section, by the section's name.

    Args:
        connection: Of `phloem.catalog.views.connect` for the run.
        store: The root.
        run: The run's record.
    """
    load_token_counts(connection, store, run)
    return {
        "headline": headline(connection, store, run),
        "attrition": attrition(connection, run),
        "samples": samples(connection, store, run),
        "duplicates": duplicates(connection, store, run),
        "personal": personal(store, run),
        "licenses": licenses(connection, run),
        "languages": languages(connection, store, run),
        "cards": cards(run),
        "tokens": tokens(connection, store, run),
        "quarantine": quarantine(connection),
        "stages": stages(run),
        "provenance": provenance(store, run),
    }


def render(run: Run, data: Mapping[str, Any]) -> str:
    """The page as HTML text, from the data of its sections."""
    environment = _environment()
    style = _source(environment, "style.css")
    return environment.get_template("page.html").render(
        run=run,
        data=data,
        sections=sections(),
        style=Markup(style),  # noqa: S704 - our own file, no data in it
        style_hash=_csp_hash(style),
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("phloem.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "breaks": breaks,
        "count": numerals.count,
        "decimal": numerals.decimal,
        "lang": language_attribute,
        "megabytes": numerals.megabytes,
        "seconds": numerals.seconds,
    }
    environment.globals |= {
        "bar": charts.bar,
        "heat": charts.heat,
        "histogram": charts.histogram,
        "percent": numerals.percent,
        "stacked": charts.stacked,
        "LONG_TABLE": LONG_TABLE,
        "SHOWN_ROWS": SHOWN_ROWS,
    }
    return environment


def _finalize(value: Any) -> Any:
    """Whatever a template puts out, with control and reordering characters made visible."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def breaks(name: str) -> Markup:
    """A name that may be broken after its underscores, and nowhere else."""
    return Markup("<wbr>").join(piece for piece in re.findall(r"[^_]*_|[^_]+", visible(name)))


def language_attribute(tag: str | None) -> Markup:
    """A `lang` attribute, so that the right font and the right Han forms are used; or nothing."""
    if not tag or tag == "und" or not _TAG.fullmatch(tag):
        return Markup("")
    return Markup(' lang="{}"').format(tag)


def _source(environment: jinja2.Environment, name: str) -> str:
    loader = environment.loader
    assert loader is not None  # noqa: S101 - made a few lines above
    return loader.get_source(environment, name)[0]


def _csp_hash(text: str) -> str:
    """A CSP Level 3 hash source of an inline style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
