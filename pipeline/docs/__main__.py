"""`python -m phloem.pipeline.docs [--check]`."""

import sys

from phloem.pipeline.docs.pages import main

sys.exit(main())
