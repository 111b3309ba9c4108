"""A sample of one source, for whoever decides about it: as Markdown, as a page, as one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from phloem.reports.languages import declaring
from phloem.reports.markdown import SHOWN, WHOLE, code, codes, fenced
from phloem.reports.numerals import count, percent
from phloem.reports.page import environment, inline

ROW_LANGUAGES = 6  # of a card, in one row among many cards
MOST = 12  # languages that a line names
LEAST_SHARE = 0.0005  # of a language; less is rounded to none
COUNTED_HERE = (
    "counted over the sample alone; in the whole source more occurs so often, and more is dropped"
)
COLUMNS = "id declared measured documents read median kept copies faults mismatch".split()


@dataclass(frozen=True)
class SampledLanguage:
    """One language of a sample.

    Attributes:
        tag: BCP-47.
        is_contrary: Whether documents are in it that declare others, and none declares it, in
            whatever script or region.
        declared: Documents that declare it and no other language.
        agreeing: Those of them that were found to be in it.
        found: Documents found to be in it.
        unmeasured: Those of them whose declaration alone decided: the model cannot judge them.
        share: Of the source's text, 0-1, estimated from the sample.
    """

    tag: str
    is_contrary: bool
    declared: int
    agreeing: int
    found: int
    unmeasured: int
    share: float


@dataclass(frozen=True)
class Excerpt:
    """The beginning of a document, personal data masked; None where it may not be shown."""

    name: str
    language: str
    verdict: str
    measured: str | None
    value: float | None
    threshold: float | None
    text: str | None


@dataclass(frozen=True)
class SourceSample:
    """What some documents of a source look like.

    Attributes:
        source: Card id.
        version: That is locked.
        recipe: Whose rules judged the documents.
        splits: Parts that were read, of how many.
        read: Documents that were met; the sample was drawn from them.
        is_cut: Whether the reading ended before the parts did.
        documents: In the sample.
        characters: Of their cleaned text.
        lengths: Characters of a document, by quantile.
        declared: The card's languages.
        languages: Most text first.
        absent: Declared languages in which no document was found.
        mismatches: What of the languages is not as declared, in words.
        personal: Findings of each kind, and how many a MB of text.
        faults: Records by the reason for which they gave no document.
        duplicates: Documents that the rest of the sample has already.
        elsewhere: Documents that another source of the newest run has, by its id.
        compared_with: That run, or why none was looked at.
        is_compared: Whether one was.
        verdicts: Documents by ``kept`` or the first rule that they failed.
        kept_bytes: Of cleaned text that the rules keep, by language, each near duplicate once.
        repeated_bytes: Of cleaned text that was a near duplicate of other documents drawn.
        counted: The op that counted texts, over the sample alone; empty if none did.
        withheld: Documents whose licence the recipe's policy refuses: none of their text is shown.
        excerpts: A few of each.
    """

    source: str
    version: str
    recipe: str
    splits: tuple[int, int]
    read: int
    is_cut: bool
    documents: int
    characters: int = 0
    lengths: Mapping[str, int] = field(default_factory=dict)
    declared: tuple[str, ...] = ()
    languages: tuple[SampledLanguage, ...] = ()
    absent: tuple[str, ...] = ()
    mismatches: tuple[str, ...] = ()
    personal: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    faults: Mapping[str, int] = field(default_factory=dict)
    duplicates: int = 0
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    compared_with: str = ""
    is_compared: bool = False
    verdicts: Mapping[str, int] = field(default_factory=dict)
    kept_bytes: Mapping[str, int] = field(default_factory=dict)
    repeated_bytes: int = 0
    counted: str = ""
    withheld: int = 0
    excerpts: tuple[Excerpt, ...] = ()

    @property
    def kept(self) -> int:
        """Documents that the recipe's rules keep."""
        return self.verdicts.get("kept", 0)

    @property
    def shares(self) -> dict[str, float]:
        """Share of each language of which there is any to speak of."""
        return {
            each.tag: round(each.share, 3) for each in self.languages if each.share >= LEAST_SHARE
        }


def row(sample: SourceSample) -> dict[str, object]:
    """A sample as one row beside those of other cards: its `COLUMNS`."""
    measured = [f"{tag} {share:.0%}" for tag, share in sample.shares.items()]
    return {
        "id": sample.source,
        "declared": _first(declaring(sample.declared)) or ["none"],
        "measured": _first(measured),
        "documents": sample.documents,
        "read": sample.read,
        "median": sample.lengths.get("median", 0),
        "kept": percent(sample.kept, sample.documents),
        "copies": sample.duplicates + sum(sample.elsewhere.values()),
        "faults": sum(sample.faults.values()),
        "mismatch": "; ".join(sample.mismatches),
    }


def _first(values: Sequence[str]) -> list[str]:
    more = [f"and {len(values) - ROW_LANGUAGES} more"] if len(values) > ROW_LANGUAGES else []
    return [*values[:ROW_LANGUAGES], *more]


def markdown(sample: SourceSample, *, heading: str = "####", characters: int = SHOWN) -> str:
    """A sample as Markdown; whatever comes out of the source or its card is code in it.

    Args:
        sample: It.
        heading: What begins the line above it.
        characters: Of a value that are shown; of languages, all are shown where this is `WHOLE`.
    """
    parts, whole = sample.splits
    cut = ", each from its beginning" if sample.is_cut else ""
    most = WHOLE if characters == WHOLE else MOST
    lines = [
        f"{heading} Sample of {code(sample.source)}",
        "",
        (
            f"{count(sample.documents)} documents with {count(sample.characters)} characters, drawn"
            f" from {count(sample.read)} that were read in {count(parts)} of {count(whole)} parts"
            f"{cut}. Version {code(sample.version, characters)}."
        ),
        "",
    ]
    lines += [f"- **Mismatch:** {text}" for text in map(_mismatch, sample.mismatches)]
    lines += _facts(sample, most)
    shown = [each for each in sample.excerpts if each.text is not None]
    if shown:
        lines += ["", f"<details><summary>{len(shown)} excerpts, personal data masked</summary>"]
        for each in shown:
            lines += ["", _caption(each, characters), "", fenced(each.text or "")]
        lines += ["", "</details>"]
    return "\n".join(lines)


def _mismatch(text: str) -> str:
    """A mismatch with its tag as code: tags come from the card."""
    tag, _, rest = text.partition(": ")
    return f"{code(tag)}: {rest}"


def _facts(sample: SourceSample, most: int) -> list[str]:
    """One line a question."""
    lengths = ", ".join(f"{name} {count(value)}" for name, value in sample.lengths.items())
    shares = [f"{code(tag)} {share:.1%}" for tag, share in sample.shares.items()]
    more = f" and {len(shares) - most} more" if len(shares) > most else ""
    found = ", ".join(shares[:most]) + more
    unmeasured = sum(each.unmeasured for each in sample.languages)
    personal = ", ".join(
        f"{kind} {count(number)} ({rate:.1f} a MB)"
        for kind, (number, rate) in sample.personal.items()
    )
    reasons = {name: number for name, number in sample.verdicts.items() if name != "kept"}
    alone = f"; {count(unmeasured)} documents by their declaration alone" if unmeasured else ""
    lines = [
        f"- Languages declared: {codes(declaring(sample.declared), most=most)}",
        f"- Languages found, by text: {found or 'none'}{alone}",
        f"- Characters a document: {lengths or 'none'}",
        f"- Personal data: {personal or 'none found'}",
        f"- Not readable: {_counts(sample.faults)}",
        (
            f"- Near duplicates: {count(sample.duplicates)} within the sample;"
            f" {_counts(sample.elsewhere)} elsewhere ({sample.compared_with or 'not looked for'})"
        ),
        (
            f"- Rules of {code(sample.recipe)}: {count(sample.kept)} kept"
            f" ({percent(sample.kept, sample.documents)}); dropped: {_counts(reasons)}"
        ),
    ]
    if sample.absent:
        lines.insert(2, f"- Declared and not met: {codes(sample.absent, most=most)}")
    if sample.counted:
        lines.append(f"- {code(sample.counted)}: {COUNTED_HERE}")
    if sample.withheld:
        lines.append(f"- Withheld for their licence: {count(sample.withheld)} documents")
    return lines


def _counts(numbers: Mapping[str, int]) -> str:
    """Names as code, each with its number; `none` if there are none."""
    told = ", ".join(f"{code(name)} {count(number)}" for name, number in numbers.items())
    return told or "none"


def _caption(excerpt: Excerpt, characters: int) -> str:
    why = ""
    if excerpt.measured and excerpt.value is not None:
        bound = "" if excerpt.threshold is None else f", bound {excerpt.threshold:g}"
        why = f", {code(excerpt.measured)} is {excerpt.value:g}{bound}"
    return (
        f"{code(excerpt.name, characters)}, {code(excerpt.language)}: {code(excerpt.verdict)}{why}"
    )


def page(samples: Sequence[SourceSample], failed: Mapping[str, str]) -> str:
    """Samples as one HTML page that loads nothing.

    Args:
        samples: In the order in which they are shown.
        failed: Why a card gave none, by its id.
    """
    templates = environment()
    style, style_hash = inline(templates, "style.css")
    return templates.get_template("samples.html").render(
        samples=samples,
        failed=failed,
        counted_here=COUNTED_HERE,
        declaring=declaring,
        style=style,
        style_hash=style_hash,
    )
