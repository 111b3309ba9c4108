"""Transforms without a runner: elements in, a list out."""

from collections.abc import Iterable
from typing import Any

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor


def processed(dofn: beam.DoFn, elements: Iterable[Any]) -> list[Any]:
    """What a DoFn yields for some elements, one after the other."""
    dofn.setup()
    found = [made for element in elements for made in dofn.process(element) or ()]
    dofn.teardown()
    return found


def eager(transform: beam.PTransform, elements: Iterable[Any]) -> list[Any]:
    """What a transform of ParDos, Reshuffles and GroupByKeys makes of some elements."""
    pipeline = beam.Pipeline()
    given = pipeline | "Given" >> beam.Create([""])
    made = given | "Tested" >> transform
    visitor = _Doing({given: list(elements)})
    pipeline.visit(visitor)
    return visitor.values[made]


class _Doing(PipelineVisitor):
    """Does each transform as soon as what it reads is known."""

    def __init__(self, values: dict[Any, list[Any]]) -> None:
        self.values = values
        self.within: AppliedPTransform | None = None  # a transform that is done as one

    def enter_composite_transform(self, transform_node: AppliedPTransform) -> None:
        done = transform_node.transform
        if isinstance(done, beam.Create):
            self.within = transform_node
        elif isinstance(done, beam.Reshuffle):
            self.within = transform_node
            self._give(transform_node, self._read(transform_node))

    def leave_composite_transform(self, transform_node: AppliedPTransform) -> None:
        if self.within is transform_node:
            self.within = None

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        if self.within:
            return
        done = transform_node.transform
        if isinstance(done, beam.ParDo):
            self._give(transform_node, processed(done.fn, self._read(transform_node)))
        elif isinstance(done, beam.GroupByKey):
            groups: dict[Any, list[Any]] = {}
            for key, value in self._read(transform_node):
                groups.setdefault(key, []).append(value)
            self._give(transform_node, list(groups.items()))

    def _read(self, node: AppliedPTransform) -> list[Any]:
        return self.values[node.inputs[0]]

    def _give(self, node: AppliedPTransform, values: list[Any]) -> None:
        (made,) = node.outputs.values()
        self.values[made] = values
