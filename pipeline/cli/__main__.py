"""`python -m phloem.pipeline.cli`: the command `phloem`, wherever it is installed."""

from phloem.pipeline.cli.app import main

main()
