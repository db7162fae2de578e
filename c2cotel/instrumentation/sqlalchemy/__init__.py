"""SQLAlchemy: a timer and a span for each statement, the request's id in PostgreSQL's log."""

from c2cotel.instrumentation.sqlalchemy.listeners import install

__all__ = ["install"]
