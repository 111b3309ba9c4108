"""The project's own model beside lid.176: its labels are tags, and both answer together."""

import numpy as np
import pyarrow as pa
import pytest

from phloem.catalog.tags import canonical, primary
from phloem.filters import passages
from phloem.filters.language_models import LID, Both, answers, load, possible, together
from phloem.filters.op import models_folder

TEXTS = {
    "zu": "Bonke abantu bazalwa bekhululekile njalo belingana ngesithunzi nangamalungelo.",
    "ny": "Anthu onse amabadwa mwa ufulu ndiponso ofanana mu ulemu ndi maufulu awo.",
    "sn": "Vanhu vose vanoberekwa vakasununguka uyewo vakaenzana pahunhu nekodzero dzavo.",
    "fon": "Gbɛtɔ lɛ bǐ wɛ nɔ jì bo nɔ ɖó susu kpodo acɛ kpan, bǐ wɛ ɖo linkpɔn.",
    "dz": "འགྲོ་བ་མི་རིགས་ག་ར་དབང་ཆ་འདྲ་མཏམ་འབད་སྒྱེཝ་ལས་ག་ར་གིས་གཅིག་གིས་གཅིག་ལུ་སྤུན་ཆའི་དམ་ཚིག་བསྟན་དགོས།",
    "ti": "ብመንፅር ክብርን መሰልን ኩሎም ሰባት እንትውለዱ ነፃን ማዕርን እዮም፡፡ ምስትውዓልን ሕልናን ዝተዓደሎም ብምዃኖም",
    "rn": "Abantu bose bavuka bishira bakizana, kandi bangana mu gaciro no mu ngingo zibubahiriza.",
    "en": "All human beings are born free and equal in dignity and rights.",
    "zh": "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。",
}


@pytest.fixture(scope="module")
def path() -> str:
    return str(models_folder() / LID.sha256)


@pytest.mark.parametrize("tag", TEXTS)
def test_languages_that_either_model_knows_are_told(tag: str, path: str) -> None:
    model = together(path)
    lines = passages.words(pa.array([TEXTS[tag]], pa.large_string()))
    found = answers(model, model.classifier.vectors(lines)[0], passages.read(lines).text_scripts)
    labels, chances = found.labels, found.chances
    assert primary(model.tags[labels[0]]) == tag
    assert 0 < chances[0] <= 1


def test_every_label_is_a_tag_in_its_one_form_and_in_some_script(path: str) -> None:
    tags = together(path).tags
    assert len(set(tags)) == len(tags)
    assert [canonical(tag) for tag in tags] == list(tags)
    assert set(load(path).tags) <= set(tags)
    assert possible("Latn", tags).sum() > possible("Ethi", tags).sum() >= len({"am", "ti"})


def test_rows_sum_to_one_and_a_text_without_a_word_has_no_answer(path: str) -> None:
    classifier = together(path).classifier
    assert isinstance(classifier, Both)
    lines = pa.array([*TEXTS.values(), "", None], pa.large_string())
    vectors, counts = classifier.vectors(lines)
    every = classifier.every(vectors)
    known = (counts > 0).any(axis=1)
    assert known.tolist()[-1:] == [False]
    np.testing.assert_allclose(every[known].sum(axis=1), 1)
    everything = [np.ones(every.shape[1], bool)] * len(vectors)
    labels, chances = classifier.best(vectors, everything)
    assert (labels[~known] == -1).all()
    assert (chances[~known] == 0).all()
    assert (labels[known] == every[known].argmax(axis=1)).all()
    labels, chances = classifier.best(vectors, [~each for each in everything])
    assert set(labels.tolist()) == {-1}
    assert not chances.any()


def test_the_probability_is_among_labels_of_the_script_and_counts_what_is_encompassed(
    path: str,
) -> None:
    model = together(path)
    lines = passages.words(pa.array([TEXTS["zh"]], pa.large_string()))
    vectors, _ = model.classifier.vectors(lines)
    (raw,) = model.classifier.every(vectors)
    found = answers(model, vectors, ["Hani"])
    can = possible("Hani", model.tags)
    own = sum(raw[model.tags.index(tag)] for tag in ("zh", "yue", "wuu"))
    np.testing.assert_allclose(found.chances[0], own / raw[can].sum())
