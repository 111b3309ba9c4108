"""What a graph of Beam may hold so that every runner can run it: checked on the graph itself.

A graph is Beam's portable form of a pipeline, as any runner gets it. Nothing in it is run, loaded
or unpickled to check it.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import json
import pickletools
import re
import zlib
from collections.abc import Iterator
from typing import Any

from apache_beam.portability.api import beam_runner_api_pb2
from google.protobuf.wrappers_pb2 import BytesValue  # type: ignore[import-untyped]

Json = Any
Graph = Any  # a Pipeline of beam_runner_api.proto: its Python classes carry no types
Node = Any  # a PTransform of it

_IMPULSE = "beam:transform:impulse:v1"
_PARDO = "beam:transform:pardo:v1"
_GROUP = "beam:transform:group_by_key:v1"
_RESHUFFLE = "beam:transform:reshuffle:v1"
_COMBINE = "beam:transform:combine_"
_PICKLED_COMPOSITE = "beam:transform:pickled_python:v1"  # among ours, only Create is written so
_STAGED_FILE = "beam:artifact:type:file:v1"

LEAVES = frozenset({_IMPULSE, _PARDO, _GROUP, _RESHUFFLE, "beam:transform:flatten:v1"})
"""What does the work of a graph; the steps of a combine may stand beside them."""

SHUFFLED = ("str", "(str, RecordBatch)", "(str, str)")
"""What may cross a shuffle: a task or a part of one; a block of hashes of one range; a file's
record. No text of a document is among them, so what crosses grows with documents, not with text."""

_CODERS = {
    "beam:coder:bytes:v1": "bytes",
    "beam:coder:string_utf8:v1": "str",
    "beam:coder:varint:v1": "int",
    "beam:coder:bool:v1": "bool",
    "beam:coder:double:v1": "float",
    "beam:coder:global_window:v1": "window",
}
_NESTED = {
    "beam:coder:kv:v1": "({})",
    "beam:coder:tuple:v1": "({})",
    "beam:coder:iterable:v1": "[{}]",
    "beam:coder:nullable:v1": "{}?",
    "beam:coder:length_prefix:v1": "{}",
    "beam:coder:windowed_value:v1": "{}",
}
_PICKLED = "beam:coder:pickled_python:v1"
_OURS = {"RecordBatchCoder": "RecordBatch"}
_RESHUFFLED = ["FastPrimitivesCoder?", "PaneInfoCoder"]  # Beam's Reshuffle keeps time and pane

_UNKNOWN_CODER = re.compile(r"\w+Coder|beam:[\w:]+")  # most of them pickle

# What Beam names a transform after its class or its function, where nobody named it.
_UNNAMED = re.compile(r"\(|^(Create|Flatten|GroupByKey|Impulse|Reshuffle|Combine\w+)(_\d+)?$")
_LOCAL = re.compile(r"^(file:|[A-Za-z]:\\|/\w)")


def faults(graph: Graph) -> list[str]:
    """What keeps a graph from running everywhere, in the words of whoever mends it; empty if fine.

    Args:
        graph: A pipeline's proto: `pipeline.to_runner_api()`, or what a runner made of it.
    """
    found = [
        f"the graph requires {each}, which not every runner has" for each in graph.requirements
    ]
    for node, given in nodes(graph):
        found += _node_faults(graph, node, given=given)
    for environment in graph.components.environments.values():
        found += [
            f"a file of this machine is staged: {_staged_path(each)}"
            for each in environment.dependencies
            if each.type_urn == _STAGED_FILE
        ]
    return found


def nodes(graph: Graph) -> Iterator[tuple[Node, bool]]:
    """Every transform from the roots down, and whether it is a part of a transform of Beam's.

    Those are Create and Reshuffle, which name and type their parts themselves.
    """
    transforms = graph.components.transforms
    waiting = [(root, False) for root in reversed(graph.root_transform_ids)]
    while waiting:
        name, given = waiting.pop()
        node = transforms[name]
        yield node, given
        inside = given or node.spec.urn == _RESHUFFLE or _is_create(graph, node)
        waiting += [(part, inside) for part in reversed(node.subtransforms)]


def shuffles(graph: Graph) -> list[tuple[str, str]]:
    """(transform, type of what crosses) of every shuffle; a Reshuffle counts once, as a whole."""
    return [
        (node.unique_name, _element(graph, node))
        for node, given in nodes(graph)
        if node.spec.urn == _RESHUFFLE or (node.spec.urn == _GROUP and not given)
    ]


def coder_of(graph: Graph, number: str) -> str:
    """A coder as the type that it writes; one that pickles is named as Beam names it."""
    coder = graph.components.coders[number]
    urn = coder.spec.urn
    if urn in _NESTED:
        parts = [coder_of(graph, part) for part in coder.component_coder_ids]
        if parts[1:] == _RESHUFFLED:
            return parts[0]
        return _NESTED[urn].format(", ".join(parts))
    if urn == _PICKLED:
        name: str = BytesValue.FromString(coder.spec.payload).value.partition(b"$")[0].decode()
        return _OURS.get(name, name)
    return _CODERS.get(urn, str(urn))


def is_local(text: str) -> bool:
    """Whether a text looks like a file's path on one machine, which another machine lacks."""
    return bool(_LOCAL.match(text))


def _node_faults(graph: Graph, node: Node, *, given: bool) -> Iterator[str]:
    name, urn = node.unique_name, node.spec.urn
    if not node.inputs and not node.outputs:
        return  # the root of all, which nobody names
    if not given and _UNNAMED.search(name.rpartition("/")[2]):
        yield f"{name} is not named: write 'What it does' >> before it"
    if not node.subtransforms:
        yield from _leaf_faults(graph, node)
    if urn == _RESHUFFLE or (urn == _GROUP and not given):
        crossing = _element(graph, node)
        allowed = (*SHUFFLED, "bytes") if given else SHUFFLED  # Create writes its elements itself
        if crossing not in allowed:
            yield f"{name} shuffles {crossing}; what may cross is {', '.join(SHUFFLED)}"
    if urn == _PARDO:
        yield from _function_faults(node, given=given)


def _leaf_faults(graph: Graph, node: Node) -> Iterator[str]:
    hands_on = set(node.inputs.values()) == set(node.outputs.values())
    if not hands_on and not (node.spec.urn in LEAVES or node.spec.urn.startswith(_COMBINE)):
        yield f"{node.unique_name} is a {node.spec.urn}, which not every runner has"
    for collection in node.outputs.values():
        coder = coder_of(graph, graph.components.pcollections[collection].coder_id)
        if bad := _UNKNOWN_CODER.findall(coder):
            yield f"{node.unique_name} yields what is written by {', '.join(bad)}: give it a type"


def _function_faults(node: Node, *, given: bool) -> Iterator[str]:
    name = node.unique_name
    payload = beam_runner_api_pb2.ParDoPayload.FromString(node.spec.payload)
    if payload.side_inputs:
        yield f"{name} has side inputs: put what it needs into its elements or on the root"
    for text in _texts(payload.do_fn.payload, ours=not given):
        if is_local(text):
            holder = name.partition("/")[0] if given else name
            yield f"{holder} holds the path {text!r} of this machine"


def _staged_path(artifact: Any) -> str:
    path: str = beam_runner_api_pb2.ArtifactFilePayload.FromString(artifact.type_payload).path
    return path


def _is_create(graph: Graph, node: Node) -> bool:
    parts = [graph.components.transforms[part].spec.urn for part in node.subtransforms]
    return node.spec.urn == _PICKLED_COMPOSITE and _IMPULSE in parts


def _element(graph: Graph, node: Node) -> str:
    (collection,) = node.inputs.values()
    return coder_of(graph, graph.components.pcollections[collection].coder_id)


def _texts(payload: bytes, *, ours: bool) -> Iterator[str]:
    """Texts in a pickled function, read without unpickling it.

    A function of Beam's own is known by the file that it was written in, on this machine: there
    only the elements of a Create count, which are the JSON of tasks.
    """
    try:
        packed = base64.b64decode(payload)
        data = bz2.decompress(packed) if packed.startswith(b"BZh") else zlib.decompress(packed)
    except (binascii.Error, zlib.error, OSError) as error:
        raise ValueError(f"Beam packs functions in a way that is not known: {error}") from None
    for _, argument, _ in pickletools.genops(data):
        if isinstance(argument, bytes):
            yield from _json_texts(argument)
        elif isinstance(argument, str) and ours:
            yield argument


def _json_texts(data: bytes) -> Iterator[str]:
    try:
        waiting: list[Json] = [json.loads(data)]
    except ValueError:
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
