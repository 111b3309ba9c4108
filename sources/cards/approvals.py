"""Approvals as signatures: made and verified by ssh-keygen, against the keys that a team keeps."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

import yaml

from phloem.catalog.manifest import canonical
from phloem.sources.cards.source import Approval, Source, approval_files, card_hash
from phloem.sources.connector import SourceError

NAMESPACE = "phloem-approval"  # a signature that was made for anything else is none here
SIGNERS = "allowed_signers"  # as ssh-keygen(1) describes it, beside the approvals

_FIRST_ZONE = timedelta(hours=14)  # Kiribati's, ahead of UTC
_SECONDS = 300  # a person may have to type the key's passphrase
_AT_ONCE = 8  # ssh-keygen needs about 10 ms, most of it to start

# What ssh-keygen says on stderr, which it never translates, and what it means for an approval.
_SAYS = (
    ("incorrect signature", "what it says was changed after it was signed"),
    ("has expired", "the key was no longer valid on the day of the approval"),
    ("not yet valid", "the key was not yet valid on the day of the approval"),
    ("namespace", f"it was signed for another use than {NAMESPACE}"),
    ("armor", "it is no whole SSH signature"),
    ("parse", "it is no whole SSH signature"),
    ("unknown option", "ssh-keygen is older than OpenSSH 8.7; install a newer one"),
)


class SigningError(SourceError):
    """An approval that could not be signed: the message says what to do."""


def payload(approval: Approval) -> bytes:
    """What is signed: canonical JSON of all that an approval says, without the signature.

    What it does not say is left out, so that approvals of before there was a `pin` still count.
    """
    what = {"source", "card", "pin", "role", "date", "basis"}
    said = approval.model_dump(mode="json", include=what, exclude_none=True)
    return canonical(said)


def sign(approval: Approval, key: Path, signers: Path) -> Approval:
    """An approval with its signature, and the principal that the key stands for.

    Args:
        approval: What is agreed to.
        key: A private key, or a public one whose private key an agent holds.
        signers: The `allowed_signers` that it will be verified with.

    Raises:
        SigningError: the key cannot be used, or `signers` does not let it sign: how to mend it.
    """
    made = _run(["-Y", "sign", "-f", str(key), "-n", NAMESPACE], payload(approval))
    if made.returncode:
        raise SigningError(f"{key} signs nothing: {_last(made.stderr)}")
    signed = approval.model_copy(update={"signature": made.stdout.decode()})
    principal = _principal(signed, key, signers)
    signed = Approval.model_validate({**signed.model_dump(), "signed_by": principal})
    fault = signature_fault(signed, signers)
    if fault:
        raise SigningError(f"the approval would not count: {fault}")
    return signed


def _principal(signed: Approval, key: Path, signers: Path) -> str:
    """Who `allowed_signers` says a signature is by. Raises SigningError with the line to add."""
    found = _with_signature(["-Y", "find-principals", "-f", str(signers), *_at(signed)], signed)
    names = found.stdout.decode(errors="replace").split()
    if found.returncode or not names:
        public = key if key.suffix == ".pub" else key.with_name(f"{key.name}.pub")
        line = f'PRINCIPAL namespaces="{NAMESPACE}" ' + _public(public)
        msg = f"{signers} lets this key sign nothing on {signed.date}; have this line added: {line}"
        raise SigningError(msg)
    if re.search(r"[*?!]", names[0]):
        msg = f"{signers} gives this key the pattern {names[0]!r}; name one principal there"
        raise SigningError(msg)
    return names[0]


def _public(path: Path) -> str:
    """The type and the key of a public key file, without its comment, which may name a person."""
    try:
        return " ".join(path.read_text(encoding="utf-8").split()[:2])
    except (OSError, UnicodeDecodeError):
        return "and the public key"


def signature_fault(approval: Approval, signers: Path) -> str | None:
    """Why an approval does not count; None if its signature is one that `signers` allows.

    A key signs in the role that its principal names, `data-steward` as Data Steward, and in no
    other. It must be valid on the day of the approval, as for a signed commit: an approval outlives
    the key that made it. Who takes a key out of `signers` ends all that it signed.
    """
    if not approval.signed_by or not approval.signature:
        return "it is not signed"
    if not signers.is_file():
        return f"there is no {SIGNERS} beside it"
    checked = ["-Y", "verify", "-f", str(signers), "-I", approval.signed_by, "-n", NAMESPACE]
    try:
        done = _with_signature([*checked, *_at(approval)], approval)
    except SigningError as error:
        return str(error)
    if not done.returncode:
        return None if may_sign(approval.signed_by, approval.role) else _other_role(approval)
    said = done.stderr.decode(errors="replace")
    why = next((meaning for mark, meaning in _SAYS if mark in said), None)
    return why or f"{SIGNERS} does not let this key sign as {approval.signed_by}"


def may_sign(principal: str, role: str) -> bool:
    """Whether a principal of `allowed_signers` names a role: the same words, up to an @."""
    name, _, _ = principal.partition("@")
    return _words(name) == _words(role)


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W_]+", name.casefold())


def _other_role(approval: Approval) -> str:
    return f"{SIGNERS} lets its key sign as {approval.signed_by}, which is not {approval.role!r}"


def date_fault(approval: Approval, card: Source | None, today: date | None = None) -> str | None:
    """Why the day of an approval cannot be right; None if it can.

    The key's own days are ssh-keygen's to look at. But who signs chooses the day, and may choose
    one on which the key was valid: the card that was approved says what was there to be read then.

    Args:
        approval: As it was written.
        card: Its source's card; None if there is none.
        today: Today, where the day begins first; by default by this machine's clock.
    """
    if approval.date > (today or (datetime.now(UTC) + _FIRST_ZONE).date()):
        return f"it is dated {approval.date}, which is yet to come"
    if card is None or approval.card != card_hash(card):
        return None
    seen = [card.license.checked_on, *(each.seen_on for each in card.opt_out)]
    newest = max((day for day in seen if day), default=None)
    if newest and newest > approval.date:
        return f"it is dated {approval.date}, and what it approves was read on {newest}"
    return None


def _at(approval: Approval) -> list[str]:
    """Noon of the day of an approval, in the zone in which ssh-keygen reads validity dates."""
    return [f"-Overify-time={approval.date:%Y%m%d}1200"]


def _with_signature(
    arguments: Sequence[str], approval: Approval
) -> subprocess.CompletedProcess[bytes]:
    with tempfile.NamedTemporaryFile(prefix="phloem-", suffix=".sig") as file:
        file.write((approval.signature or "").encode())
        file.flush()
        return _run([*arguments, "-s", file.name], payload(approval))


def _run(arguments: Sequence[str], given: bytes) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["ssh-keygen", *arguments],
            input=given,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        msg = "ssh-keygen is not on this machine; install OpenSSH's client"
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"ssh-keygen did not do it ({type(error).__name__}); try again"
    raise SigningError(msg)


def _last(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "ssh-keygen gave no reason"


def signers_of(folders: Sequence[str | Path] = ()) -> Mapping[str, Path]:
    """The `allowed_signers` beside each approval, by source id: of the project and these folders.

    An approval is verified with the keys of the folder that it lies in, and with no others.
    """
    return MappingProxyType(
        {path.stem: path.with_name(SIGNERS) for path in approval_files(folders)}
    )


def approvals_folder() -> Path:
    """Where the project's own approvals lie."""
    return Path(str(files("phloem.sources") / "approvals"))


def signature_faults(
    approvals: Mapping[str, Approval], signers: Mapping[str, Path]
) -> Mapping[str, str]:
    """Why each approval that does not count does not, by source id."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        asked = {
            source: pool.submit(signature_fault, approval, signers[source])
            for source, approval in sorted(approvals.items())
        }
    found = {source: future.result() for source, future in asked.items()}
    return {source: fault for source, fault in found.items() if fault}


def write_approval(approval: Approval, folder: Path) -> Path:
    """Write an approval as `<source>.yaml` in a folder of approvals; returns the file."""
    said = approval.model_dump(mode="json", exclude={"signature"})
    head = yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=100)
    block = [f"  {line}" for line in (approval.signature or "").splitlines()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{approval.source}.yaml"
    path.write_text(head + "\n".join(["signature: |", *block, ""]), encoding="utf-8")
    return path
