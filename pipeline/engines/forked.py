"""Imported last in the process that workers are forked from, and in no other: each starts warm.

What fails here fails again in the worker that needs it, which says why.
"""

from __future__ import annotations

import gc
from contextlib import suppress

from phloem.pipeline.engines.warm import warm

with suppress(Exception):
    warm()
gc.freeze()  # no worker's collector looks through what is there now: its pages stay shared
gc.enable()
