"""Imports Beam into the process that workers are forked from, without clients of other stores.

Beam loads each that is installed, and goes without those that are not. Phloem reaches its root and
its sources by other ways, so here none counts as installed.
"""

from __future__ import annotations

import gc
import sys

from phloem.pipeline.engines import quiet  # noqa: F401 - before Beam

gc.disable()  # until all is imported: it stays, and looking through it takes as long again
sys.modules.update(
    dict.fromkeys(  # type: ignore[arg-type]  # None: who imports it is told that it is not there
        [
            "apache_beam.io.aws.s3filesystem",
            "apache_beam.io.azure.blobstoragefilesystem",
            "apache_beam.io.gcp.bigquery",
            "apache_beam.io.gcp.gcsfilesystem",
            "apache_beam.io.hadoopfilesystem",
        ]
    )
)
