"""What trainers are handed: tokenizers, the tokens of a release, and what reads them."""
