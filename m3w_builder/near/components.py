"""Connected components of the graph whose edges join copies: numpy alone, no order of the edges matters.

An edge is a row of uint64[E, 2], two members in either order. A component is named by its smallest
member.
"""

import numpy as np
from numpy.typing import NDArray

Members = NDArray[np.uint64]
Edges = NDArray[np.uint64]  # [E, 2]
Places = NDArray[np.int64]


def components(edges: Edges) -> tuple[Members, Members]:
    """Returns the members uint64[M], ascending, and for each the smallest member of its component.

    Takes O(E log E): in each two rounds every component that is not whole yet at least doubles.
    """
    members, places = np.unique(edges, return_inverse=True)
    left, right = places.reshape(-1, 2).T
    return members, members[joined(np.arange(len(members)), left, right)]


def joined(roots: Places, left: Places, right: Places) -> Places:
    """Returns int64[M], for each place the smallest that it is connected with, with further edges.

    `roots` is that without the edges (left[i], right[i]); it is changed.
    """
    while len(left):
        a, b = roots[left], roots[right]  # all roots point to themselves here
        left, right = left[a != b], right[a != b]
        np.minimum.at(roots, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(roots, further := roots[roots]):
            roots = further
    return roots


def forest(edges: Edges) -> Edges:
    """Returns uint64[F, 2], fewest edges with the same components: from the smallest member to each other.

    One below the number of a component's members each; ascending by (other, smallest): the same
    components give the same forest.
    """
    members, labels = components(edges)
    others = members != labels
    return np.stack([labels[others], members[others]], axis=1)
