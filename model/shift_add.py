"""Products with a constant matrix, by shifts and as few additions as a simple search finds.

Every coefficient is written in signed digits, no two of them adjacent, so that a row becomes a sum
of shifted and perhaps negated inputs. As long as there is a pair of terms that occurs twice, up to
a shift and a sign, the most frequent one becomes a sum of its own. What remains of a row is added
up with the least depth.

Source: R. I. Hartley, "Subexpression Sharing in Filters Using Canonic Signed Digit Multipliers",
IEEE Transactions on Circuits and Systems II 43(10), 1996.
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import NamedTuple

__all__ = ["ShiftAddPlan", "Term", "plan_shift_add", "signed_digits"]


class Term(NamedTuple):
    """One summand: ``(-1) ** negative * (value of the node << shift)``."""

    node: int
    shift: int
    negative: bool


@dataclass(frozen=True)
class ShiftAddPlan:
    """How to compute a product with a constant matrix.

    Attributes
    ----------
    inputs : :class:`int`
        Number of inputs. They are the first nodes.
    sums : tuple of tuples of one or two :class:`Term`
        What each further node is the sum of: inputs, and sums before it.
    outputs : tuple of :class:`Term`
        What each output is; never negative.
    """

    inputs: int
    sums: tuple[tuple[Term, ...], ...]
    outputs: tuple[Term, ...]

    @property
    def depths(self) -> tuple[int, ...]:
        """Additions on the way to each node."""
        depths = [0] * self.inputs
        for terms in self.sums:
            depths.append(1 + max(depths[term.node] for term in terms))
        return tuple(depths)

    @property
    def latency(self) -> int:
        """Additions on the longest way to an output."""
        depths = self.depths
        return max(depths[output.node] for output in self.outputs)

    @property
    def coefficients(self) -> tuple[tuple[int, ...], ...]:
        """Coefficient of each input in each node."""
        nodes = [tuple(int(i == j) for j in range(self.inputs)) for i in range(self.inputs)]
        for terms in self.sums:
            nodes.append(tuple(sum(_scaled(nodes[term.node][i], term) for term in terms)
                               for i in range(self.inputs)))
        return tuple(nodes)


def signed_digits(value: int) -> list[tuple[int, bool]]:
    """Write an integer as a sum of powers of two with signs, no two of them adjacent.

    Returns
    -------
    list of tuples
        Exponent of each power, rising, and whether it is negative.
    """
    digits = []
    shift = 0
    while value:
        if value & 1:
            negative = value & 3 == 3
            digits.append((shift, negative))
            value += 1 if negative else -1
        value >>= 1
        shift += 1
    return digits


@cache
def plan_shift_add(matrix: tuple[tuple[int, ...], ...]) -> ShiftAddPlan:
    """Plan the product of a matrix with a vector.

    Parameters
    ----------
    matrix : tuple of tuples of :class:`int`
        Rows. None may be all zeros.

    Returns
    -------
    ShiftAddPlan
        Plan, the same for the same matrix.

    Raises
    ------
    ValueError
        If a row is all zeros.
    """
    if not all(map(any, matrix)):
        raise ValueError("Rows must not be all zeros")
    inputs = len(matrix[0])
    rows = [[Term(node, shift, negative) for node, coefficient in enumerate(row)
             for shift, negative in signed_digits(coefficient)] for row in matrix]
    depths = [0] * inputs
    nodes: dict[tuple[Term, ...], int] = {}

    def depth(terms: tuple[Term, ...]) -> int:
        return 1 + max(depths[term.node] for term in terms)

    def node_of(terms: tuple[Term, ...]) -> int:
        if terms not in nodes:
            depths.append(depth(terms))
            nodes[terms] = len(depths) - 1
        return nodes[terms]

    while True:
        # Of equally frequent pairs the one of least depth, and then any, but always the same.
        counts = {pair: sum(len(_occurrences(row, pair)) for row in rows)
                  for pair in {_pair(a, b): None for row in rows for a, b in combinations(row, 2)}}
        shared = min(counts, default=None, key=lambda pair: (-counts[pair], depth(pair), pair))
        if shared is None or counts[shared] < 2:
            break
        found = [(row, a, b) for row in rows for a, b in _occurrences(row, shared)]
        # A difference is taken the way round that is more often positive.
        if shared[1].negative and 2 * sum(a.negative for _, a, _ in found) > len(found):
            found = [(row, b, a) for row, a, b in found]
        for row, a, b in found:
            row.remove(a)
            row.remove(b)
            row.append(_sum_term(node_of(_reduced(a, b)), a, b))

    for row in rows:
        while len(row) > 1:
            a, b = sorted(row, key=lambda term: (depths[term.node], term))[:2]
            row.remove(a)
            row.remove(b)
            if a.negative and not b.negative:
                a, b = b, a
            row.append(_sum_term(node_of(_reduced(a, b)), a, b))
        if row[0].negative:
            row[0] = Term(node_of((row[0],)), 0, False)
    return ShiftAddPlan(inputs, tuple(nodes), tuple(row[0] for row in rows))


def _scaled(value: int, term: Term) -> int:
    return -(value << term.shift) if term.negative else value << term.shift


def _reduced(a: Term, b: Term) -> tuple[Term, Term]:
    """Two terms without the shift and the sign that they have in common."""
    shift = min(a.shift, b.shift)
    return (Term(a.node, a.shift - shift, False),
            Term(b.node, b.shift - shift, a.negative != b.negative))


def _sum_term(node: int, a: Term, b: Term) -> Term:
    """Return the term that stands for a and b when the node is their reduced sum."""
    return Term(node, min(a.shift, b.shift), a.negative)


def _pair(a: Term, b: Term) -> tuple[Term, Term]:
    return _reduced(*sorted((a, b)))


def _occurrences(row: list[Term], pair: tuple[Term, Term]) -> list[tuple[Term, Term]]:
    """Pairs of terms of the row, none in two of them, that are the pair up to shift and sign."""
    found: list[tuple[Term, Term]] = []
    used: set[Term] = set()
    for a, b in combinations(sorted(row), 2):
        if a not in used and b not in used and _pair(a, b) == pair:
            found.append((a, b))
            used.update((a, b))
    return found
