"""What the tokens of a release can be exported as: each format is one module of this package.

A format stands in no key and no release, so that another one is another module and remakes nothing.
The first sentence of its docstring says what it writes, for one token shard at a time; it offers

    SUFFIXES = (".bin", ".idx")       # of the files that it writes
    def write(part, create) -> None   # create(suffix): one of them to write, within a `with`
    def read(opened) -> Iterator[pa.RecordBatch]  # opened(suffix): the bytes of one, mapped

The same tokens give the same bytes. What is read has the column `tokens`, a row a document, and
of `id` and `source` what the format keeps; a file that is not as `write` writes it is a ValueError.
"""

from __future__ import annotations

import pkgutil

FORMATS = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))
