"""From a recipe to a release: stages, what runs them, and the command line."""
