"""Sums of terms as a chain of multiply-accumulates, in the formats that these can add."""

from __future__ import annotations

from rnn_mapper.cells.arithmetic import Accumulate, Node, Range, Unit
from rnn_mapper.cells.expressions import SourceLine
from rnn_mapper.cells.terms import Term
from rnn_mapper.fixed_point import ACTIVATION_FRACTION, PREACTIVATION_FRACTION

__all__ = ["accumulated", "as_preactivation", "is_activation"]


def accumulated(nodes: list[Node], line: SourceLine, terms: list[Term]) -> Node:
    """The sum of terms; the nodes it needs are added to `nodes`."""
    terms = _blended(terms)
    low, high = (sum(term.range[end] for term in terms) for end in (0, 1))
    fine = all(term.fraction == ACTIVATION_FRACTION for term in terms)
    fraction = ACTIVATION_FRACTION if fine and is_activation((low, high)) else PREACTIVATION_FRACTION
    # Finer terms first: an addend may be finer than the product, but not the other way round. Blends and plain
    # values begin a sum, because they need no addend.
    terms = sorted(terms, key=lambda term: (term.fraction == PREACTIVATION_FRACTION, not term.addend,
                                            not term.is_plain))
    total: Node | None = None
    for term in terms:
        total = _add_term(nodes, line, total, term, fraction)
    assert total is not None
    return total if total.fraction == fraction else as_preactivation(nodes, total)


def _add_term(nodes: list[Node], line: SourceLine, total: Node | None, term: Term, fraction: int) -> Node:
    if total is None:
        return term.x if term.is_plain else _node(nodes, line, term, term.addend)
    if term.addend is not None:
        # A blend has its own addend, so the sum so far is added to its result.
        return _add_term(nodes, line, _node(nodes, line, term, term.addend), Term(line, total), fraction)
    if total.fraction == ACTIVATION_FRACTION == term.fraction and fraction == PREACTIVATION_FRACTION:
        total = as_preactivation(nodes, total)
    if term.fraction == ACTIVATION_FRACTION and total.fraction == PREACTIVATION_FRACTION:
        # The sum is coarser than this term: the sum becomes the factor of one, the term the addend.
        fine = term.x if term.is_plain else _node(nodes, line, term, None)
        return _node(nodes, line, Term(line, total), fine)
    return _node(nodes, line, term, total)


def _node(nodes: list[Node], line: SourceLine, term: Term, addend: Node | None) -> Node:
    bounds = term.range
    if addend is not None and term.addend is None:
        bounds = bounds[0] + addend.range[0], bounds[1] + addend.range[1]
    limit = 1.0 if term.fraction == ACTIVATION_FRACTION else 32.0
    bounds = max(bounds[0], -limit), min(bounds[1], limit)
    nodes.append(Accumulate(line, term.fraction, bounds, term.x, term.y, term.z, addend))
    return nodes[-1]


def as_preactivation(nodes: list[Node], node: Node) -> Node:
    """The value in Q5.10; a conversion, if it takes one, is added to `nodes`."""
    if node.fraction == PREACTIVATION_FRACTION:
        return node
    nodes.append(Accumulate(node.line, PREACTIVATION_FRACTION, node.range, addend=node))
    return nodes[-1]


def _blended(terms: list[Term]) -> list[Term]:
    """a * b + (1 - a) * c as one accumulation, a * (b - c) + c, where b and c have one format and a is in [0, 1]."""
    for rest in terms:
        if isinstance(rest.y, Node) and rest.z is not None and rest.addend is None and _is_gate(rest.x):
            for term in terms:
                if term.is_plain and term.x is rest.z:
                    blend = Term(rest.line, rest.x, rest.y, rest.z, rest.z)
                    return _blended([blend, *(one for one in terms if one not in (term, rest))])
        if rest.y != Unit.ONE or rest.z is None:
            continue
        for term in terms:
            if term.z is not None or not isinstance(term.y, Node) or rest.z not in (term.x, term.y):
                continue
            other = term.y if term.x is rest.z else term.x
            if other.fraction == rest.x.fraction:
                blend = Term(term.line, rest.z, other, rest.x, rest.x)
                return _blended([blend, *(one for one in terms if one not in (term, rest))])
    return terms


def _is_gate(node: Node) -> bool:
    return node.fraction == ACTIVATION_FRACTION and node.range[0] >= 0.0


def is_activation(bounds: Range) -> bool:
    return bounds[0] >= -1.0 and bounds[1] <= 1.0
