"""A small workspace with real text in many scripts, and a root that needs no network."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from phloem.filters.op import ops
from phloem.pipeline import run as running
from phloem.pipeline.progress import Progress
from phloem.pipeline.recipe import load_recipe
from phloem.pipeline.record import Request
from phloem.pipeline.registry import load_registry, local_registry
from phloem.pipeline.workspace import load_workspace

RECIPE = """\
name: tiny
summary: A few documents through every stage.
policy: quickstart
ops: [nfc, whitespace, language, statistics, minhash, pii]
keep:
  - {name: too_short, column: word_count, min: {default: 5, zh: 8}}
  - {name: wrong_language, column: language_score, min: 0.1}
dedup: {bands: 14, rows: 8, jaccard: 0.7}
scrub: {email: "<EMAIL>"}
tokenizer: {train: {vocab_size: 600}}
"""

LONG = {
    "en": "All human beings are born free and equal in dignity and rights. They are endowed with"
    " reason and conscience and should act towards one another in a spirit of brotherhood.",
    "ar": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. وقد وهبوا عقلا وضميرا وعليهم أن"
    " يعامل بعضهم بعضا بروح الإخاء.",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।"
    " उन्हें बुद्धि और अन्तरात्मा की देन प्राप्त है और परस्पर उन्हें भाईचारे के भाव से बर्ताव करना चाहिए।",
    "th": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม"
    " และควรปฏิบัติต่อกันด้วยเจตนารมณ์แห่งภราดรภาพ",
    "zh": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
}

Documents = list[dict[str, Any]]


def documents() -> Documents:
    """Eight documents: five scripts, a near duplicate, a short one, one with an address."""
    rows: Documents = [{"id": tag, "text": text, "lang": tag} for tag, text in LONG.items()]
    rows.append({"id": "near", "text": LONG["en"].replace("reason", "good reason"), "lang": "en"})
    rows.append({"id": "short", "text": "Too short 👋🏽", "lang": "en"})
    address = "Please write to maria.silva@correio.pt about the meeting that we have next week."
    rows.append({"id": "mail", "text": address, "lang": "en"})
    return rows


def write_jsonl(path: Path, rows: Documents) -> Path:
    """One JSON object a line."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def models_folder() -> Path:
    """Where `make test` put the model files, by sha256."""
    folder = Path(os.environ.get("PHLOEM_MODELS", ".venv/models"))
    if not folder.is_dir():
        pytest.fail(f"no model files in {folder}; `make test` puts them there")
    return folder


def new_root(folder: Path) -> Path:
    """A root that holds the model files already."""
    fetched = folder / "fetched"
    fetched.mkdir(parents=True)
    for file in {file for op in ops().values() for file in op.files}:
        shutil.copy(models_folder() / file.sha256, fetched / file.sha256)
    return folder


Run = Callable[..., running.Result]


@pytest.fixture
def workspace_folder(tmp_path: Path) -> Path:
    """A workspace with one recipe and eight documents."""
    folder = tmp_path / "workspace"
    (folder / "recipes").mkdir(parents=True)
    (folder / "recipes" / "tiny.yaml").write_text(RECIPE, encoding="utf-8")
    (folder / "phloem.toml").write_text('recipes = ["recipes"]\n', encoding="utf-8")
    write_jsonl(folder / "texts.jsonl", documents())
    return folder


def run_tiny(
    folder: Path, root: Path, *, workers: int = 1, texts: str = "texts.jsonl"
) -> running.Result:
    """Run the workspace's recipe on its documents."""
    workspace = load_workspace(folder)
    registry = local_registry(load_registry(workspace), str(folder / texts), "text", "und")
    recipe = load_recipe("tiny", workspace, sorted(registry.cards))
    recipe = recipe.model_copy(update={"sources": ("local",)})
    request = Request(recipe, str(root), workers)
    return running.run(request, registry, workspace, Progress(Console(quiet=True)))
