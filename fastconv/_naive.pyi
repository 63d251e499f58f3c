"""The compiled loops of fastconv.naive (pyx/naive.pyx): float32, C-contiguous, every size settled by the caller."""

import numpy as np

def conv2d(
    src: np.ndarray,
    wei: np.ndarray,
    bia: np.ndarray,
    dst: np.ndarray,
    groups: int,
    SH: int,
    SW: int,
    PT: int,
    PL: int,
    DH: int,
    DW: int,
) -> None: ...
def max_pool2d(
    src: np.ndarray, dst: np.ndarray, KH: int, KW: int, SH: int, SW: int, PT: int, PL: int, DH: int, DW: int
) -> None: ...
def linear(src: np.ndarray, wei: np.ndarray, bia: np.ndarray, dst: np.ndarray) -> None: ...
