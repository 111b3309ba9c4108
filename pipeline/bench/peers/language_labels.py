"""What pycld2 or lingua calls texts, for a Python that has them.

`TOOL IN OUT`: a JSON list of texts, and where a JSON object goes: `labels` of the texts, and
`known`, all labels that there are.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def pycld2(texts: list[str]) -> dict[str, list[str]]:
    """By Compact Language Detector 2, which refuses what it takes for no UTF-8."""
    import pycld2

    labels = []
    for text in texts:
        try:
            _, _, found = pycld2.detect(text, bestEffort=True)
            labels.append(found[0][1])
        except pycld2.error:
            labels.append("un")
    named = dict(pycld2.LANGUAGES)
    detected = set(pycld2.DETECTED_LANGUAGES)
    known = {code for name, code in named.items() if name in detected}
    return {"labels": labels, "known": sorted(known)}


def lingua(texts: list[str]) -> dict[str, list[str]]:
    """By lingua with all its languages, in its mode of high accuracy."""
    from lingua import Language, LanguageDetectorBuilder

    detector = LanguageDetectorBuilder.from_all_languages().build()
    found = [detector.detect_language_of(text) for text in texts]
    labels = [each.iso_code_639_1.name.lower() if each else "un" for each in found]
    return {
        "labels": labels,
        "known": sorted(each.iso_code_639_1.name.lower() for each in Language.all()),
    }


if __name__ == "__main__":
    tool, *paths = sys.argv[1:]
    given, out = map(Path, paths)
    asked = json.loads(given.read_text("utf-8"))
    said = {"pycld2": pycld2, "lingua": lingua}[tool](asked)
    out.write_text(json.dumps(said), "utf-8")
