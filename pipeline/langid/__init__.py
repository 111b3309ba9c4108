"""Language identification of our own: text by language and source, training, scoring."""
