"""Imported in the process that workers are forked from, and in no other: each starts warm.

What fails here fails again in the worker that needs it, which says why.
"""

from __future__ import annotations

import gc
from contextlib import suppress

from phloem.pipeline.engines.warm import warm

with suppress(Exception):
    warm()
gc.freeze()  # what is there now no worker's collector need look at: its pages stay shared
