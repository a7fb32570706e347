"""Connected components of the graph whose edges join copies: numpy alone, no order of the edges matters.

An edge is a row of uint64[E, 2], two members in either order. A component is named by its smallest
member.
"""

import numpy as np
from numpy.typing import NDArray

Members = NDArray[np.uint64]
Edges = NDArray[np.uint64]  # [E, 2]


def components(edges: Edges) -> tuple[Members, Members]:
    """Returns the members uint64[M], ascending, and for each the smallest member of its component.

    Takes O(E log E): in each two rounds every component that is not whole yet at least doubles.
    """
    members, places = np.unique(edges, return_inverse=True)
    ends = places.reshape(-1, 2)
    roots = np.arange(len(members))
    while len(ends):
        joined = roots[ends]  # all roots point to themselves here
        np.minimum.at(roots, joined.max(axis=1), joined.min(axis=1))
        roots = _shortest(roots)
        joined = roots[ends]
        ends = ends[joined[:, 0] != joined[:, 1]]
    return members, members[roots]


def forest(edges: Edges) -> Edges:
    """Returns uint64[F, 2], fewest edges with the same components: from the smallest member to each other.

    One below the number of a component's members each; ascending by (other, smallest): the same
    components give the same forest.
    """
    members, labels = components(edges)
    others = members != labels
    return np.stack([labels[others], members[others]], axis=1)


def _shortest(roots: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns int64[M], the end of the way from each member over `roots`, halved in each step."""
    while True:
        further = roots[roots]
        if np.array_equal(further, roots):
            return roots
        roots = further
