"""The ledger: what the rules and what deduplication say, row by row."""

import pyarrow as pa

from phloem.catalog.columns import schema
from phloem.pipeline.stages.decide import fill_ledger
from phloem.pipeline.stages.filter import VERDICTS


def test_fill_ledger_drops_duplicates_and_names_where_else_a_text_was_found() -> None:
    rows = [
        {"id": id_, "text_bytes": 9, "verdict": "kept", "failed_rules": 0, "license": "MIT"}
        for id_ in ("a", "b")
    ]
    removals = [
        {"row": 0, "duplicate_of": None, "similarity": None, "found_in": ["other"]},
        {"row": 1, "duplicate_of": "x", "similarity": 0.8, "found_in": []},
    ]
    verdicts = pa.Table.from_pylist(rows, schema(VERDICTS))
    first, second = fill_ledger(verdicts, removals, "s", "ingest/k/text-00000.arrow").to_pylist()
    assert (first["verdict"], first["found_in"], first["row"]) == ("kept", ["other"], 0)
    assert (second["verdict"], second["reason"]) == ("dropped", "duplicate")
    assert (second["duplicate_of"], second["similarity"]) == ("x", 0.8)
