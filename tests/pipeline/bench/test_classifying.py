"""What a benchmark says of how far the kernel and the library agree is counted by hand."""

from __future__ import annotations

import numpy as np

from phloem.pipeline.bench.classifying import agreement


def test_labels_are_counted_and_the_widest_gap_is_told():
    own = [
        (np.array([0, 1]), np.array([0.5, 0.25])),
        (np.array([-1]), np.array([0.0])),
        (np.array([1]), np.array([0.75])),
    ]
    said = agreement(["sw", "zu"], own, ["sw", "sw", "", "zu"], [0.5, 0.25, 0.0, 0.7499])
    assert said == "3 of 4 labels, scores within 1e-04"
