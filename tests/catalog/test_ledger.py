"""The ledger adds up, and says which source does not."""

from __future__ import annotations

import pytest

from phloem.catalog.columns import schema
from phloem.catalog.ledger import LEDGER, QUARANTINE, Balance, BalanceError, check_balance


def test_check_balance_when_it_holds_says_nothing() -> None:
    check_balance({"a": Balance(6, 3, 2, 1), "empty": Balance(0, 0, 0, 0)})


def test_check_balance_names_every_source_that_does_not_add_up() -> None:
    wrong = {"b": Balance(6, 3, 2, 0), "a": Balance(1, 1, 1, 0), "fine": Balance(1, 1, 0, 0)}
    with pytest.raises(BalanceError) as error:
        check_balance(wrong)
    text = str(error.value)
    assert text.index("a: 1 read") < text.index("b: 6 read")
    assert "fine" not in text


@pytest.mark.parametrize("columns", [LEDGER, QUARANTINE])
def test_columns_have_one_meaning_each(columns: tuple[object, ...]) -> None:
    names = schema(columns).names  # type: ignore[arg-type]
    assert len(set(names)) == len(names)
