"""What reviewers of cards see: documents drawn and measured, what is held already, two commits."""
