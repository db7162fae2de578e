"""What runs for a process: from settings to channels out of it, request ids, and the end."""
