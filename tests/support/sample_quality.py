"""Make the little classifier that the contract tries the op `quality` with.

`python tests/support/sample_quality.py FILE ROOT`: prose is good and code is bad, in few words.
"""

from __future__ import annotations

import sys
from pathlib import Path

from phloem.catalog.store import Store
from phloem.pipeline.quality.examples import examples
from phloem.pipeline.quality.train import Settings, train
from phloem.pipeline.registry.registry import load_registry
from phloem.pipeline.workspace import find_workspace

SETTINGS = Settings(side_bytes=500_000, dim=2, words=1, least_count=40, rate=0.2)
SIDES = ("prose", "pallets-code")


def told(line: str) -> None:
    """Say a line."""
    sys.stdout.write(f"{line}\n")


def main(out: str, root: str) -> None:
    """Train it, and say its hash."""
    workspace = find_workspace()
    registry, store = load_registry(workspace), Store(root)
    good, bad = (examples(store, registry, workspace, [name], "text", told) for name in SIDES)
    told(train(good, bad, Path(out), SETTINGS, told).sha256)


if __name__ == "__main__":
    main(*sys.argv[1:])
