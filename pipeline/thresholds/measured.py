"""A recipe's rules on all reference texts, and on rubbish made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from phloem.catalog.rules import Rule
from phloem.catalog.store import Store
from phloem.filters.op import Op
from phloem.pipeline.registry.registry import Registry
from phloem.pipeline.thresholds.reference import HELD_OUT, SOURCES, Piece, pieces, sound_texts
from phloem.pipeline.thresholds.score import (
    Dropped,
    made_rubbish,
    of_rubbish,
    of_sound,
    reasons,
)
from phloem.pipeline.workspace import Workspace

MOST = 60  # pieces of a source in a language, of each length and half

CHOSEN_ON, OTHERS, RUBBISH = "chosen on", "others", "rubbish"
"""Sources that bounds were chosen on; sources that they were not; what must go."""


def measured(
    store: Store,
    registry: Registry,
    workspace: Workspace,
    judge: tuple[Sequence[Op], Sequence[Rule], Mapping[str, str]],
    seed: int,
    told: Callable[[str], None],
) -> dict[str, list[Dropped]]:
    """What is dropped, of each kind of text.

    Args:
        store: The root: files and what is ingested come into it.
        registry: Whose cards are read.
        workspace: Whose ops a card may name.
        judge: A recipe's ops and rules, and the paths of the ops' files.
        seed: Of the rubbish.
        told: Called with a line for a person about each step.

    Raises:
        FetchError: the files of a card cannot be had.
    """
    found: dict[str, list[Dropped]] = {}
    every: list[Piece] = []
    for name, sources in ((CHOSEN_ON, SOURCES), (OTHERS, HELD_OUT)):
        cut = pieces(sound_texts(store, registry, workspace, told, sources), MOST)
        told(f"{name}: {len(cut):,} pieces in {len({piece.language for piece in cut})} languages")
        reason = reasons(*judge, [each.text for each in cut], [each.language for each in cut])
        found[name] = of_sound(cut, reason)
        every += cut
    made = made_rubbish(every, seed)
    told(f"{RUBBISH}: {len(made):,} texts, seed {seed}")
    reason = reasons(*judge, [text for _, _, text in made], [tag for _, tag, _ in made])
    found[RUBBISH] = of_rubbish([kind for kind, _, _ in made], reason)
    return found
