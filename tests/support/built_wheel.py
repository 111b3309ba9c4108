"""The wheel of this checkout."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("catalog", "filters", "pipeline", "reports", "sources")


def build_wheel(folder: Path) -> Path:
    """Build the wheel into a folder, from a copy so that the checkout stays clean; its path."""
    copy = folder / "checkout"
    copy.mkdir()
    names = [*PACKAGES, "phloem", "tests", "pyproject.toml", "README.md", "LICENSE"]
    subprocess.run(
        ["tar", "-C", ROOT, "--exclude=__pycache__", "-cf", folder / "tree.tar", *names], check=True
    )
    subprocess.run(["tar", "-C", copy, "-xf", folder / "tree.tar"], check=True)
    code = "import sys, setuptools.build_meta as b; b.build_wheel(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built
