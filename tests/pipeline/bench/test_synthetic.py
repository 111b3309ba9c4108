"""Made-up documents: what is planted is found, and every stage is told."""

from phloem.pipeline.bench.synthetic import COLUMNS, COPIES, EDITED, bench_synthetic


def test_synthetic_documents_go_through_every_stage_and_lose_their_copies() -> None:
    told: list[str] = []
    rows = list(bench_synthetic(3000, told=told.append))
    assert [row["row"] for row in rows] == ["bands", "candidates", "dedup", "removals", "all"]
    assert all(tuple(row) == COLUMNS for row in rows)
    assert rows[-1]["digest"] == rows[-2]["digest"]
    candidates = int(told[-1].split()[0].replace(",", ""))
    planted = 3000 * (COPIES + EDITED)
    assert 0.8 * planted <= candidates <= 1.5 * planted
    assert list(bench_synthetic(3000, told=told.append))[-1]["digest"] == rows[-1]["digest"]
