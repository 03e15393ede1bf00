"""docs/api.md, the reference of the public Python API: signatures, docstrings and `#:` comments of the sources."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rnn_mapper as srnn
from hdl.output.field_comments import field_comments

__all__ = ["api_markdown"]

#: Headings, and the names below each; a test asserts that every public name has its place.
SECTIONS = {
    "One call": ("simulate", "SimulationResult", "Comparison"),
    "Inputs": ("as_sequences", "Sequences", "Layout", "load_inputs"),
    "Models": (
        "load_model", "Selection", "Imported", "HostStep", "network_from_torch", "load_network", "save_network",
    ),
    "Networks": (
        "Network", "Layer", "RecurrentLayer", "Dense", "Bidirectional", "Reversed", "cell", "Cell", "run_float",
    ),
    "Integers": (
        "quantise_model", "quantise", "ScaleRule", "QuantisedModel", "QuantisedNetwork", "LayerState",
        "quantise_inputs", "run_model", "run_reference", "compare_with_float", "LayerError",
    ),
    "Grids": ("GridParameters", "load_parameters", "preset_names", "choose_grid"),
    "On a grid": (
        "prepare", "Prepared", "default_calibration", "map_network", "Mapping", "deploy", "Deployment", "Prediction",
    ),
    "Step by step": ("simulate_prepared", "verify", "IntSequence"),
    "Errors": ("SpatialRnnError",),
}


def api_markdown() -> str:
    """The page."""
    lines = [
        "# Python API", "",
        "Made by `python -m scripts.make_reference` from the docstrings of `rnn_mapper`; do not edit. Everything here",
        "is `import rnn_mapper as srnn; srnn.NAME`; other modules may change without notice.", "",
    ]
    for heading, names in SECTIONS.items():
        lines += [f"## {heading}", ""]
        for name in names:
            lines += _entry(name, getattr(srnn, name))
    return "\n".join(lines).rstrip() + "\n"


def _entry(name: str, value: Any) -> Iterator[str]:
    yield from (f"### `{name}`", "")
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        yield from (_comment(name, value), "")
        return
    if inspect.isfunction(value) or dataclasses.is_dataclass(value):
        yield from ("```python", f"{name}{_signature(value)}", "```", "")
    yield from (inspect.getdoc(value) or "", "")
    if inspect.isclass(value):
        members = list(_members(value))
        if members:
            yield from ("| member | |", "|---|---|")
            yield from (f"| `{member}` | {text} |" for member, text in members)
            yield ""


def _comment(name: str, value: Any) -> str:
    """An alias of a type."""
    module = sys.modules[srnn._SOURCES[name]]
    source = inspect.getsource(module).splitlines()
    line = next(index for index, text in enumerate(source) if text.startswith(f"{name} = "))
    first = line
    while source[first - 1].startswith("#:"):
        first -= 1
    return " ".join(text.removeprefix("#:").strip() for text in source[first:line]) + f" (`{source[line]}`)"


def _signature(value: Any) -> str:
    """As the source has it; one parameter a line where one line is too long."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(value))).body
    returned = ""
    if isinstance(node, ast.ClassDef):
        found = [one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"]
        if not found:
            parameters = [
                ast.unparse(one) for one in node.body
                if isinstance(one, ast.AnnAssign) and "init=False" not in ast.unparse(one)
            ]
        else:
            parameters = _parameters(found[0])[1:]
    else:
        assert isinstance(node, ast.FunctionDef)
        parameters = _parameters(node)
        returned = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    line = f"({', '.join(parameters)}){returned}"
    return line if len(line) <= 100 else "(\n" + "".join(f"    {one},\n" for one in parameters) + f"){returned}"


def _parameters(node: ast.FunctionDef) -> list[str]:
    """Each with its annotation and its default."""
    given, keywords = node.args.args, node.args.kwonlyargs
    defaults = [None] * (len(given) - len(node.args.defaults)) + node.args.defaults
    texts = [_parameter(one, default) for one, default in zip(given, defaults, strict=True)]
    if keywords:
        texts.append("*")
    return texts + [_parameter(one, default) for one, default in zip(keywords, node.args.kw_defaults, strict=True)]


def _parameter(one: ast.arg, default: ast.expr | None) -> str:
    return ast.unparse(one) + ("" if default is None else f" = {ast.unparse(default)}")


def _members(value: type) -> Iterator[tuple[str, str]]:
    """Fields, properties and methods that are public and documented, in the order of the source."""
    for scope in reversed(value.__mro__[:-1]):
        if scope.__module__.split(".")[0] not in ("rnn_mapper", "hdl"):
            continue
        comments = field_comments(Path(inspect.getfile(scope)))
        for (owner, name), text in comments.items():
            if owner == scope.__name__ and not name.startswith("_"):
                yield name, _cell(text)
        for name, member in vars(scope).items():
            if name.startswith("_"):
                continue
            function = member.func if isinstance(member, functools.cached_property) else member
            function = function.fget if isinstance(function, property) else getattr(function, "__func__", function)
            if inspect.isfunction(function) and function.__doc__:
                is_value = isinstance(member, property | functools.cached_property)
                yield name if is_value else f"{name}()", _cell(inspect.getdoc(function) or "")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
