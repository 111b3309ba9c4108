"""Imported before Beam in every process: leaves out a warning that is none of the user's."""

from __future__ import annotations

import logging


def _wanted(record: logging.LogRecord) -> bool:
    """Beam warns at import that the clients of another project are not installed."""
    return "apitools not found" not in str(record.msg)


logging.getLogger().addFilter(_wanted)
