"""The model of the application of 2018."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Integer, Unicode
from sqlalchemy.orm import declarative_base

DBSession: Any = None
Base = declarative_base()


class Hello(Base):
    """Something said."""

    __tablename__ = "hello"
    id = Column(Integer, primary_key=True)
    value = Column(Unicode, nullable=False)
