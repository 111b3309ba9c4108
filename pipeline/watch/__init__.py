"""What is told of a run: its record, heartbeats, progress, logs of events and telemetry."""
