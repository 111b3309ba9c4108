"""Keys and allowed signers for tests, made by the real ssh-keygen."""

import subprocess
from pathlib import Path

from outside import require


def new_key(path: Path) -> Path:
    """A key without a passphrase; `path.pub` lies beside it."""
    command = [require("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(command, check=True)
    return path


def allow(folder: Path, key: Path, principal: str, options: str = "") -> Path:
    """Let a key sign in a folder of approvals; returns its `allowed_signers`."""
    folder.mkdir(parents=True, exist_ok=True)
    words = [principal, 'namespaces="phloem-approval"' + options]
    words += key.with_name(f"{key.name}.pub").read_text("utf-8").split()[:2]
    path = folder / "allowed_signers"
    with path.open("a", encoding="utf-8") as file:
        file.write(" ".join(words) + "\n")
    return path
