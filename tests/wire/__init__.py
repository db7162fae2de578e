"""Real statsd servers read what the exporter writes."""
