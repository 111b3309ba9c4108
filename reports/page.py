"""What all pages share: how values become safe text, and what the browser may do with them."""

from __future__ import annotations

import base64
import functools
import hashlib
import marshal
import re
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from types import CodeType
from typing import Any

import jinja2
from jinja2.bccache import Bucket
from markupsafe import Markup

from phloem.catalog.kept import kept_folder
from phloem.catalog.manifest import digest_of
from phloem.reports import charts, numerals
from phloem.reports.visible import visible

LONG_TABLE = 50  # rows from which the rest of a table is folded away
SHOWN_ROWS = 30  # of a long table

# BCP 47 section 2.1, as far as a tag needs to be known to be safe and of use in `lang`.
_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


class _Kept(jinja2.BytecodeCache):
    """Compiled templates in the user's cache; one that is gone or cut short is compiled again.

    The library's own cache of files unpickles them, and fails where it cannot write.
    """

    def load_bytecode(self, bucket: Bucket) -> None:
        """Take what is kept of a template."""
        with suppress(OSError, EOFError, ValueError, TypeError):
            found = marshal.loads(_place(bucket).read_bytes())  # noqa: S302 - the user's own
            bucket.code = found if isinstance(found, CodeType) else None

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template."""
        path = _place(bucket)
        part = path.with_suffix(f".tmp-{uuid.uuid4().hex}")
        try:
            part.write_bytes(marshal.dumps(bucket.code))
            part.replace(path)
        except OSError:  # then it is compiled each time
            part.unlink(missing_ok=True)


def _place(bucket: Bucket) -> Path:
    made_by = [jinja2.__version__, sys.version, bucket.key, bucket.checksum]
    return kept_folder() / f"template-{digest_of(made_by)[:32]}"


@functools.cache
def environment() -> jinja2.Environment:
    """Templates that escape whatever they put out."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("phloem.reports"),
        bytecode_cache=_Kept(),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "breaks": breaks,
        "count": numerals.count,
        "decimal": numerals.decimal,
        "lang": language_attribute,
        "megabytes": numerals.megabytes,
        "seconds": numerals.seconds,
    }
    made.globals |= {
        "bar": charts.bar,
        "heat": charts.heat,
        "histogram": charts.histogram,
        "percent": numerals.percent,
        "stacked": charts.stacked,
        "LONG_TABLE": LONG_TABLE,
        "SHOWN_ROWS": SHOWN_ROWS,
    }
    return made


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


def inline(templates: jinja2.Environment, *names: str) -> tuple[Markup, str]:
    """Styles or scripts of ours to put into a page, and the hash by which it allows them."""
    loader = templates.loader
    assert loader is not None  # noqa: S101 - `environment` gave it one
    text = "".join(loader.get_source(templates, name)[0] for name in names)
    return Markup(text), csp_hash(text)  # noqa: S704 - our own file, no data in it


def csp_hash(text: str) -> str:
    """A CSP Level 3 hash source of an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
