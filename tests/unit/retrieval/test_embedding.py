"""Vectors as they are written."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.retrieval.embedding import Vector, written

_NUMBERS = st.floats(-1, 1, width=32)


@given(arrays(np.float32, st.integers(1, 400), elements=_NUMBERS))
def test_what_is_written_is_read_as_the_same_numbers(vector: Vector) -> None:
    text = written(vector)
    assert (text[0], text[-1]) == ("[", "]")
    read = np.array(text[1:-1].split(","), dtype=np.float32)
    assert np.array_equal(read, vector)


def test_a_column_of_a_matrix_is_written_too() -> None:
    assert written(np.eye(3, dtype=np.float32)[:, 1]) == "[0.0,1.0,0.0]"
