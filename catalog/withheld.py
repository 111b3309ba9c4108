"""What is never told: secrets in addresses, and the e-mail addresses of people.

Whatever is printed, logged, kept as an error or put on a page goes through here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from phloem.catalog.plain import Json

# Names that no person's address has: RFC 2606 and RFC 6761 (reserved), RFC 6762 (.local).
_RESERVED_DOMAINS = ("example.com", "example.net", "example.org")
_RESERVED_TLDS = ("example", "invalid", "localhost", "local", "test", "onion", "internal")
# Endings of files that stand where an address has its top-level domain, as in logo@2x.png.
_FILE_ENDINGS = (
    "bmp css gif htm html jpeg jpg js json map md mjs pdf png scss service socket svg target tiff"
    " txt webp xml"
).split()
_NO_TLDS = frozenset((*_RESERVED_TLDS, *_FILE_ENDINGS))
# RFC 5321, section 4.5.3.1: octets of a local part and of a domain; RFC 1035, 2.3.4: of a label.
_MAX_LOCAL, _MAX_DOMAIN = 64, 255
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_TLD = re.compile(r"[a-z]{2,63}|xn--[a-z0-9-]{1,59}")

# `user:password@` in a URL, where a secret key may hold slashes; `host:port/` is none.
_PASSWORD = re.compile(r"://[^/@:\s]*:(?!\d+/)[^@\s]*@")
# A user name without a password: hosts of code take a token for one.
_USER = re.compile(r"(\bhttps?://)[^/@:\s]+@", re.IGNORECASE)

# `name=value` in the query or the fragment of an address (RFC 3986, 3.4), escaped for HTML or not;
# and in one that is itself a value of another's.
_PARAMETER = re.compile(
    r"(?<=[?&;#])(?P<name>[^\s?&;#=\"'<>]{1,100})(?P<is>=[\"']?)(?P<value>[^\s&;#\"'<>]+)"
)
_INNER = re.compile(
    r"(?<=%3F|%3f|%26|%23)(?P<name>[^\s?&;#=\"'<>%]{1,100})(?P<is>%3[Dd])(?P<value>[^\s&;#\"'<>%]+)"
)
# What such a name says where its value lets whoever has it in: OAuth 2 (RFC 6749), AWS, Google,
# Azure, Akamai and CloudFront's signed addresses, and what interfaces call their keys.
_SECRET = re.compile(
    r"token[\W_]*$|secret|signature|credential|passw|passphrase|api[-_.]?key|access[-_.]?key|private[-_.]?key"
    "|auth[-_.]?key|licen[cs]e[-_.]?key|hdn(?:ea|et|tl|ts)"
    "|subscription[-_.]?key|key[-_.]?pair|sess(?:ion)?[-_.]?id|jwt|bearer|authorization"
    r"|(?:^|[-_.\[])(?:sig|hmac|auth|key|appkey|pwd|pw|pass|sid)[\W_]*$"
)


def email_span(raw: str) -> tuple[int, int] | None:
    """Where an address stands in a candidate, as in `'ana@biblioteca.pt.`; None if it is none."""
    local, _, domain = raw.partition("@")
    start = len(local) - len(local.lstrip(".'-+%"))
    local = local[start:]
    domain = domain.rstrip(".-")
    labels = domain.lower().split(".")
    fits = 0 < len(local) <= _MAX_LOCAL and len(domain) <= _MAX_DOMAIN
    if not fits or ".." in local or local.endswith("."):
        return None
    if len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):  # noqa: PLR2004
        return None
    if not _TLD.fullmatch(labels[-1]) or labels[-1] in _NO_TLDS:
        return None
    if ".".join(labels[-2:]) in _RESERVED_DOMAINS:
        return None
    return start, start + len(local) + 1 + len(domain)


def masked(text: str) -> str:
    """The text with every secret of an address hidden: passwords, tokens, keys and signatures."""
    if "@" in text:
        text = _USER.sub(r"\1***@", _PASSWORD.sub("://***@", text))
    if "=" in text:
        text = _PARAMETER.sub(_parameter, text)
    return _INNER.sub(_parameter, text) if "%3" in text else text


def _parameter(found: re.Match[str]) -> str:
    secret = _SECRET.search(unquote(found["name"]).lower())
    return f"{found['name']}{found['is']}***" if secret else found[0]


# What may be an address, and the beginning of a URL, whose user is none: its host must be seen. No
# local part is as long as is tried, and what is tried from each letter anew must have a bound.
_CANDIDATE = re.compile(
    r"(?P<url>://)?(?P<local>[\w.+'%-]{1,80})(?:@|\uff20|%(?:25){0,3}40)(?P<domain>[\w-]+(?:\.[\w-]+)+)",
    re.IGNORECASE,
)
_AT = re.compile("@|\uff20|40")
# A domain in the name of a file, with more of that behind it: ana@biblioteca.pt_2024.
_BEFORE_MORE = re.compile(r"(?:[^\W_][\w-]*\.)+?[^\W\d_]{2,63}(?=[-_])")
# Endings of files beside those of `email_span`: an address may be a part of a file's name.
_ENDINGS = frozenset(
    "arrow bz2 crate csv deb epub gem gz jar json jsonl log mo mod npy parquet pdf po py rst tar"
    " tgz tsv warc wet whl xz yaml yml zip zst".split()
).union(_FILE_ENDINGS)
_DIGITS = 8  # of the hash that tells two addresses apart


def withheld(text: str) -> str:
    """The text without secrets, and with a short hash for each e-mail address of a person.

    File names, titles and a source's own names for its documents may hold one. The hash is the
    same for the same address, so that a reader can tell two apart, and see that one was changed.
    """
    text = masked(text)
    return _CANDIDATE.sub(_hashed, text) if _AT.search(text) else text


def _hashed(found: re.Match[str]) -> str:
    local, labels = found["local"], found["domain"].split(".")
    behind: list[str] = []
    while labels and labels[-1].lower() in _ENDINGS:
        behind.insert(0, labels.pop())
    is_version = len(labels) > 2 and labels[0].isdecimal()  # noqa: PLR2004 - as in name@1.0.dev
    if found["url"] or is_version:
        return found[0]
    domain = ".".join(labels)
    address = f"{local}@{_ascii(domain)}"
    span = email_span(address)
    if span is None and (first := _BEFORE_MORE.match(found["domain"])):
        address, behind = f"{local}@{_ascii(first[0])}", []
        span, more = email_span(address), found["domain"][first.end() :]
    else:
        more = ""
    if span is None:
        return found[0]
    digits = hashlib.sha256(address[slice(*span)].lower().encode()).hexdigest()[:_DIGITS]
    return ".".join([f"{address[: span[0]]}[email {digits}]", *behind]) + more


def _ascii(domain: str) -> str:
    """A domain as it is asked for: one in another script as its punycode."""
    try:
        return domain if domain.isascii() else domain.encode("idna").decode()
    except UnicodeError:
        return domain


def strings_in(value: Json) -> Iterator[str]:
    """Every text in plain data, keys and values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from (*strings_in(key), *strings_in(each))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from strings_in(each)


def withheld_in(value: Json) -> Json:
    """Plain data, each text of it without what is never told; what JSON does not know as text."""
    if isinstance(value, Mapping):
        named = ((withheld(k) if isinstance(k, str) else k, each) for k, each in value.items())
        return {key: withheld_in(each) for key, each in named}
    if isinstance(value, list | tuple):
        return [withheld_in(each) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return withheld(str(value))
