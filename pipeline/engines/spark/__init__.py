"""Spark: its job server, what ends with the driver, and Python workers beside its executors."""
