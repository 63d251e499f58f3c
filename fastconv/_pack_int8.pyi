from typing import Final

import numpy as np

BYTES: Final[int]
WORDS: Final[int]
TILES: Final[int]

def pack(
    src: np.ndarray,
    signed: bool,
    zero: np.ndarray,
    first: np.ndarray,
    places: np.ndarray,
    parts: np.ndarray,
    form: int,
    V: int,
    vectors: int,
    dst: np.ndarray,
) -> None: ...
def are_small(
    src: np.ndarray, signed: bool, zero: np.ndarray, first: np.ndarray, places: np.ndarray, parts: np.ndarray
) -> bool: ...
