"""The tables of an SQLAlchemy model and how they refer to each other, drawn by paracelsus."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any, TextIO

FORMATS = ("dot", "mermaid")


def generate_model_graph(module: ModuleType | str, output: TextIO | None = None) -> None:
    """Write the graph of a model for Graphviz.

    Args:
        module: with the classes, or its name; ``name:Base`` when it has more than one base class.
        output: where to; the standard output when left out.

    Raises:
        ValueError: there is no base class, or more than one.
    """
    print(graph(module if isinstance(module, str) else module.__name__, "dot"), file=output or sys.stdout)


def graph(model: str, kind: str) -> str:
    """The graph as text.

    Args:
        model: name of a module, with ``:Base`` when it has more than one base class.
        kind: one of `FORMATS`.

    Raises:
        ImportError: there is no such module.
        ValueError: there is no base class, or more than one.
    """
    from paracelsus.graph import get_graph_string  # noqa: PLC0415  # an extra

    name, _, base = model.partition(":")
    module = importlib.import_module(name)
    drawn: Any = get_graph_string(
        base_class_path=f"{name}:{_base(module, base)}",
        import_module=[name],
        include_tables=set(),
        exclude_tables=set(),
        python_dir=[],
        format=kind,
        column_sort="preserve-order",
    )
    return f"{drawn}".rstrip()


def _base(module: ModuleType, named: str) -> str:
    """The base class whose tables are drawn: the one that is named, or the only one there is."""
    from sqlalchemy import MetaData  # noqa: PLC0415  # an extra

    def metadata(candidate: Any) -> Any:
        tables = getattr(candidate, "metadata", None)
        return tables if isinstance(candidate, type) and isinstance(tables, MetaData) and tables.tables else None

    if named:
        if metadata(getattr(module, named, None)) is None:
            raise ValueError(f"{module.__name__}:{named}: expected a declarative base class with tables")
        return named
    bases: dict[int, str] = {}
    for name, candidate in sorted(vars(module).items()):
        if (tables := metadata(candidate)) is not None:
            bases.setdefault(id(tables), name)
    names = list(bases.values())
    if not names:
        raise ValueError(f"{module.__name__}: no model found, expected a module with classes of a declarative base")
    if len(names) > 1:
        named = f"one of {', '.join(names)}, as in {module.__name__}:{names[0]}"
        raise ValueError(f"{module.__name__}: {len(names)} models found, expected {named}")
    return names[0]
