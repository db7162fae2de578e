"""Measurements: the table of instruments, the queue, and what each exporter makes of the values."""
