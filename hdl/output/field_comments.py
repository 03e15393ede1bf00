"""The `#:` comments of fields, enum members and layout keys, read from the source for the documentation."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

__all__ = ["field_comments"]


@cache
def field_comments(source: Path) -> dict[tuple[str, str], str]:
    """Comments of a Python file by (class or function, field name), lines joined by a space.

    A field is an attribute of a class or a string key of a dictionary in a function; its comment is the block of
    `#:` lines just above it. Fields without a comment are absent.
    """
    text = source.read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines()]
    found: dict[tuple[str, str], str] = {}
    for scope in ast.parse(text).body:
        if isinstance(scope, (ast.ClassDef, ast.FunctionDef)):
            for name, line in _fields(scope):
                if comment := _block_above(lines, line):
                    found[scope.name, name] = comment
    return found


def _fields(scope: ast.ClassDef | ast.FunctionDef) -> Iterator[tuple[str, int]]:
    """Names and line numbers (from 1) of the fields of one class or function."""
    for node in ast.walk(scope):
        if isinstance(node, ast.Dict):
            for key in node.keys:
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, key.lineno
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node.lineno
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.lineno


def _block_above(lines: list[str], line: int) -> str:
    first = line - 1
    while first > 0 and lines[first - 1].startswith("#:"):
        first -= 1
    return " ".join(text.removeprefix("#:").strip() for text in lines[first : line - 1])
