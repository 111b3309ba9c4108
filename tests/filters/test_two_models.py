"""Two models together: a label of both, of one, of none; rows that sum to one."""

import numpy as np
import pytest

from phloem.filters.two_models import OWN_WEIGHT, combined

OWN, OTHER = ("zu", "en", "xh"), ("en", "fr")


def _both(own: list[float], other: list[float]) -> dict[str, float]:
    found, tags = combined(np.array([own]), OWN, np.array([other]), OTHER)
    assert found.sum() == pytest.approx(1)
    return dict(zip(tags, found[0].tolist(), strict=True))


def test_a_label_of_both_has_their_mean_and_one_of_either_what_it_says() -> None:
    found = _both([0.2, 0.7, 0.1], [0.6, 0.4])
    en = OWN_WEIGHT * 0.7 + (1 - OWN_WEIGHT) * 0.6
    total = 0.2 + en + 0.1 + 0.4
    assert found == pytest.approx(
        {"zu": 0.2 / total, "en": en / total, "xh": 0.1 / total, "fr": 0.4 / total}
    )


def test_a_language_that_one_model_does_not_know_is_not_lost_to_its_guesses() -> None:
    found = _both([0.95, 0.01, 0.04], [0.55, 0.45])
    assert max(found, key=found.__getitem__) == "zu"


def test_neither_model_alone_rules_a_label_out() -> None:
    assert _both([0.0, 0.0, 0.0], [0.9, 0.1])["en"] > 0
    assert _both([0.0, 1.0, 0.0], [0.0, 0.0])["en"] == pytest.approx(1)


def test_a_row_that_one_model_knows_nothing_of_is_the_other_s() -> None:
    nothing = np.full((1, 3), np.nan)
    found, tags = combined(nothing, OWN, np.array([[0.2, 0.8]]), OTHER)
    assert tags[int(found.argmax())] == "fr"
    found, _ = combined(nothing, OWN, np.full((1, 2), np.nan), OTHER)
    assert np.isnan(found).all()


def test_no_rows_give_none() -> None:
    found, tags = combined(np.zeros((0, 3)), OWN, np.zeros((0, 2)), OTHER)
    assert found.shape == (0, 4)
    assert tags == ("zu", "en", "xh", "fr")
