"""How telemetry leaves the thread that made it: background workers, bounded queues, forks, outages."""
