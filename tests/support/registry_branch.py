"""A repository with a registry, to commit to as a stranger would."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml
from outside import require


class Repository:
    """A repository with a registry, to commit to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        (folder / "sources" / "entries").mkdir(parents=True)
        (folder / "sources" / "approvals").mkdir()

    def git(self, *arguments: str) -> str:
        command = [
            require("git"),
            "-c",
            "user.name=T",
            "-c",
            "user.email=t@example.org",
            *arguments,
        ]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=x")
        return self.git("rev-parse", "HEAD")

    @property
    def lock_file(self) -> Path:
        return self.folder / "sources" / "sources.lock"

    def write(self, card: dict[str, Any]) -> Path:
        path = self.folder / "sources" / "entries" / f"{card['id']}.yaml"
        text = yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=100)
        path.write_text(text, encoding="utf-8")
        return path


def card_of(id_: str, **more: Any) -> dict[str, Any]:
    """A proposed card."""
    return {
        "id": id_,
        "name": f"The {id_}",
        "summary": f"What {id_} holds was written for this test. It was chosen for being short.",
        "homepage": f"https://example.org/{id_}",
        "kind": "legal",
        "languages": ["en"],
        "license": {"spdx": "CC-BY-4.0"},
        "access": {"connector": "pypi", "params": {"packages": {f"{id_}-text": "1.0"}}},
        "custodian": "The port",
        "personal_data": {"level": "none"},
        "status": "proposed",
        "reason": "Nobody has read its terms.",
        **more,
    }
