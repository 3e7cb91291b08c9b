"""Strategies for work items, including items that no source makes."""

from __future__ import annotations

from hypothesis import strategies as st

from pipeline.v1.work_items_pb2 import WorkItems

_ordinary = st.floats(-10.0, 10.0)
_edges = st.sampled_from([0.0, -0.0, 5e-324, 1e-308, 1e154, 1.7e308, -1.7e308])


def work_items(
    max_size: int = 3, max_iterations: int = 20
) -> st.SearchStrategy[WorkItems]:
    """Generate single items with record number 1, valid and rejected ones.

    Args:
        max_size: the maximum length of the vectors.
        max_iterations: the maximum number of iterations.
    """
    values = st.sampled_from([_ordinary, _ordinary | _edges, st.floats()])
    sizes = st.sampled_from([0, *range(1, max_size + 1), *range(1, max_size + 1)])
    return st.tuples(sizes, values).flatmap(
        lambda drawn: _items_of(*drawn, max_iterations)
    )


def _items_of(
    size: int, values: st.SearchStrategy[float], max_iterations: int
) -> st.SearchStrategy[WorkItems]:
    def column(length: int) -> st.SearchStrategy[list[float]]:
        return st.lists(values, min_size=length, max_size=length)

    return st.builds(
        lambda id_, first, second, matrix, text, iterations: WorkItems(
            record=[1],
            id=[id_],
            size=[size],
            first=first,
            second=second,
            matrix=matrix,
            text=[text],
            iterations=[iterations],
        ),
        st.integers(0, 2**64 - 1),
        column(size),
        column(size),
        column(size * size),
        st.text(max_size=5),
        st.integers(0, max_iterations),
    )
