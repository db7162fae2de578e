"""Database sessions, on real servers."""
