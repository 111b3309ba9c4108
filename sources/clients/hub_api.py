"""What a Hub says of a dataset: the commit that it is at, its card, and the files of a commit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from phloem.sources.connector import GoneError, Json, SourceError
from phloem.sources.web.download import read_answer
from phloem.sources.web.patience import RefusedError, WebError

MAX_FILES = 1_000_000
"""Of one commit: the largest datasets have some hundred thousand."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NEXT = re.compile(r'<([^<>]+)>\s*;\s*rel="?next"?')  # RFC 8288


@dataclass(frozen=True)
class HubFile:
    """A file of a dataset, as a Hub lists it.

    Attributes:
        path: In the repository.
        stored: Its sha256 and bytes, where it lies in the Hub's large store; None for others.
    """

    path: str
    stored: tuple[str, int] | None


@dataclass(frozen=True)
class Hub:
    """A server that speaks the Hub's interface.

    Attributes:
        address: Without a slash at its end.
        token: That it is shown; None for what all may see.
    """

    address: str
    token: str | None = field(repr=False)

    @property
    def headers(self) -> Mapping[str, str]:
        """What it is sent: nobody else is."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def dataset(self, name: str, revision: str | None) -> tuple[str, Mapping[str, Json]]:
        """The commit that a dataset, or a revision of it, is at now, and its card.

        Raises GoneError and SourceError.
        """
        url = f"{self.address}/api/datasets/{name}"
        if revision is None:
            said, _ = self._asked(name, url)
        else:
            at = f"{url}/revision/{quote(revision, safe='')}"
            said, _ = self._asked(f"{name} at {revision}", at)
        commit = said.get("sha") if isinstance(said, dict) else None
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise SourceError(f"{self.address} names no commit of {name}")
        card = said.get("cardData")
        return commit, card if isinstance(card, dict) else {}

    def files(self, name: str, commit: str) -> list[HubFile]:
        """The files of a commit. Raises GoneError and SourceError."""
        found: list[HubFile] = []
        page: str | None = f"{self.address}/api/datasets/{name}/tree/{commit}?recursive=true"
        while page:
            said, page = self._asked(name, page)
            try:
                found += _files(said)
            except (KeyError, TypeError, ValueError, AttributeError):
                raise SourceError(f"{self.address} lists {name} in a form of its own") from None
            if len(found) > MAX_FILES:
                raise SourceError(f"{name} has more than {MAX_FILES} files; name a part of it")
        return found

    def gated(self, name: str) -> SourceError:
        """The error of a dataset that is given to those who agreed to its terms."""
        return SourceError(
            f"{name} is given to those who agreed to its terms on its page: agree there, and set"
            f" HF_TOKEN to a token of that account, which is shown to {self.address} and to no"
            " other host"
        )

    def _asked(self, name: str, url: str) -> tuple[Json, str | None]:
        """What an address answers, and the address of the next page, if it names one of its own."""
        absent = f"{self.address} has no dataset {name}, or shows it to its owner alone"
        try:
            content, headers = read_answer(url, headers=self.headers)
            said = json.loads(content)
        except GoneError:
            raise GoneError(absent) from None
        except RefusedError as error:
            if error.headers.get("X-Error-Code") in {"RepoNotFound", "RevisionNotFound"}:
                raise GoneError(absent) from None
            raise self.gated(name) from None
        except WebError as error:
            raise SourceError(f"{self.address} cannot be asked for {name}: {error}") from None
        except (ValueError, RecursionError):
            raise SourceError(f"{self.address} answers what is no JSON for {name}") from None
        following = _NEXT.search(headers.get("Link", ""))
        if following is None:
            return said, None
        if urlsplit(following[1])[:2] != urlsplit(self.address)[:2]:
            raise SourceError(f"{self.address} leads to another host for the files of {name}")
        return said, following[1]


def _files(said: Json) -> Iterator[HubFile]:
    for entry in said:
        if entry["type"] == "file":
            lfs = entry.get("lfs")
            yield HubFile(str(entry["path"]), _stored(lfs["oid"], lfs["size"]) if lfs else None)


def _stored(sha256: Json, size: Json) -> tuple[str, int]:
    if not _SHA256.fullmatch(sha256) or type(size) is not int or size < 0:
        raise ValueError
    return sha256, size
