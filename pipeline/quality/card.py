"""The card of a classifier of quality: what it learned from, and how right it is."""

from __future__ import annotations

from dataclasses import asdict

from phloem.filters.quality import ALPHA
from phloem.pipeline.quality.examples import ONE_IN
from phloem.pipeline.quality.train import BAD, GOOD, Settings, Trained
from phloem.pipeline.registry.registry import Registry


def card(name: str, trained: Trained, settings: Settings, registry: Registry, command: str) -> str:
    """The card of a classifier.

    Args:
        name: Of its file.
        trained: What was trained, and of what.
        settings: How.
        registry: Whose sources the licences are of.
        command: That makes the model again.
    """
    said = ", ".join(f"`{key}` {value}" for key, value in asdict(settings).items())
    rows = [
        f"| {label} | `{source}` | {_licence(registry, source)} | {count} |"
        for label, own in trained.documents.items()
        for source, count in own.items()
    ]
    lines = [
        f"# {name}",
        "",
        "A fastText model with two labels, `good` and `bad`: what the sources below are called.",
        "It tells how like the one or the other a text is, and nothing about what is good.",
        "",
        f"- sha256: `{trained.sha256}`",
        f"- made by: `{command}`: the same bytes from the same texts, with one build of fastText",
        f"- settings: {said}",
        "- text: the whole document as one line, its line feeds spaces",
        f"- texts on both sides, which trained nothing: {trained.on_both_sides}",
        *_score_lines(trained),
        "",
        "| label | source | licence | documents |",
        "| --- | --- | --- | --- |",
        *rows,
    ]
    return "\n".join(lines) + "\n"


def _score_lines(trained: Trained) -> list[str]:
    score = trained.score
    if score is None:
        return ["- held out: nothing, for want of documents: nobody knows how right it is"]
    kept = score.pareto_kept
    told = (
        f"- held out: every {ONE_IN}th document by its hash, {score.documents[GOOD]} good and"
        f" {score.documents[BAD]} bad; area under the ROC curve {score.auc:.4f}, on their own side"
        f" of 0.5 {score.accuracy:.2%}; of the good GPT-3's rule (alpha {ALPHA:g}) keeps"
        f" {kept[GOOD]:.2%}, of the bad {kept[BAD]:.2%}"
    )
    return [told]


def _licence(registry: Registry, source: str) -> str:
    return registry.cards[source].license.spdx if source in registry.cards else "own files"
