"""Settings: how one is declared and read, all that there are, and their reference page."""
