"""What quoted sentences name and forbid, and that a card's licence is held to it."""

import pytest

from phloem.sources.cards.wording import (
    Named,
    forbids_change,
    forbids_trade,
    is_copyright_alone,
    is_named,
    later,
    named_by,
    named_in,
)


@pytest.mark.parametrize(
    ("sentence", "family", "version"),
    [
        ("under the GNU General Public License, version 2.", "GPL", "2.0"),
        ("License: GPL-3+", "GPL", "3.0"),
        ("under the GNU Lesser General Public License (LGPL) version 2.1", "LGPL", "2.1"),
        ("GNU Library General Public License", "LGPL", ""),
        ("GNU Affero General Public License v3", "AGPL", "3.0"),
        ("either version 3 of the License, or (at your option) any later version", "GNU", "3.0"),
        ("Mozilla Public License Version 1.1", "MPL", "1.1"),
        ("Permission is hereby granted, free of charge, to any person obtaining a copy", "MIT", ""),
        ("This work is licensed under CC BY 4.0.", "CC-BY", "4.0"),
        ("Creative Commons Attribution-NonCommercial 4.0 International", "CC-BY-NC", "4.0"),
        ("Creative Commons Attribution-NoDerivs 3.0", "CC-BY-ND", "3.0"),
        ("Creative Commons Attribution-Share Alike 4.0 License", "CC-BY-SA", "4.0"),
        ("license: cc-by-nc-sa-3.0", "CC-BY-NC-SA", "3.0"),
        ("see https://creativecommons.org/licenses/by-nc-nd/4.0/", "CC-BY-NC-ND", "4.0"),
        ("It is dedicated to the public by CC0", "CC0", ""),
    ],
)
def test_named_in_tells_the_licence_and_its_version(sentence, family, version):
    assert Named(family, version) in named_in(sentence)


@pytest.mark.parametrize(
    ("id_", "sentence", "is_same"),
    [
        ("GPL-2.0-or-later", "GNU General Public License, version 2 or later", True),
        ("GPL-3.0-or-later", "GNU General Public License, version 2 or later", False),
        ("LGPL-2.1-only", "the GNU General Public License version 2", False),
        ("GPL-2.0-only", "the GNU Lesser General Public License", False),
        ("MPL-2.0", "Mozilla Public License 1.1", False),
        ("CC-BY-4.0", "Creative Commons Attribution 3.0", False),
        ("CC-BY-4.0", "Creative Commons Attribution-NonCommercial 4.0", False),
        ("CC-BY-4.0", "CC BY-SA 4.0", False),
        ("CC-BY-SA-4.0", "CC BY-SA", True),
        ("MIT", "License: Expat", True),
        ("MIT", "either version 2 of the License", False),
    ],
)
def test_an_identifier_is_held_to_the_sentence(id_, sentence, is_same):
    own = named_by(id_)
    assert any(is_named(own, each) for each in named_in(sentence)) == is_same


def test_a_sentence_of_another_language_names_nothing():
    for sentence in ("Die Texte sind frei.", "为利各界广为利用网站资料", "Her hakkı saklıdır."):
        assert named_in(sentence) == frozenset()


def test_what_a_sentence_keeps_its_permission_from():
    assert forbids_trade("available only for non-commercial use")
    assert not forbids_trade("for commercial or non-commercial purposes")
    assert not forbids_trade("may be used for any purpose, commercial ones too")
    assert forbids_change("The text may not be modified.")
    assert not forbids_change("It may be modified.")


def test_a_copyright_line_permits_nothing():
    assert is_copyright_alone("Copyright (C) 2001-2021 by the Privoxy team.")
    assert is_copyright_alone("© 1999 Nobody. All rights reserved.")
    assert not is_copyright_alone("Copyright: 2022 The Foundation License: Apache-2.0")
    assert not is_copyright_alone("The ©Generalitat permet la reutilització dels continguts")


def test_later_is_told_from_one_version():
    assert later("License: GPL-2+")
    assert later("either version 2, or (at your option) any later version")
    assert not later("version 2 of the GNU General Public License")
