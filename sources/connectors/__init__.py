"""One module for each way of getting and reading a source."""
