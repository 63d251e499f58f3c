"""Recurrent layers: the time steps of an RNN, GRU or LSTM, whose products with the inputs were computed before.

All gates of a vector of units are summed side by side, for up to six sequences at once: a time step reads each weight once, and the
functions of the gates read L1. Each sum is over h in order: a sequence has the same bits alone and among others.
Parallel over (direction, chunk of sequences), each through all time steps: a unit needs all units of the time step before, and
threads that share a sequence would wait for each other at each of them.
"""

from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from activation cimport sigmoid, tanh
from simd cimport REGS, V, load, load_part, noinline, store, store_part, vf, vfma1
from step cimport at, share

cdef enum:
    MOST = 24  # sums of a tile: six sequences, or two sequences and two vectors of units, times four gates

# The layers, by their number of gates.
cdef enum Kind:
    RNN = 1
    GRU = 3
    LSTM = 4

cdef struct Args:
    int64_t src  # [t][n][d][h block][gate][V]: products with the inputs, and biases; strides for t and n
    int64_t wei  # [d][h block][h][gate][V]: the weights of the states
    int64_t bia  # [d][h block][gate][V]: the biases of the states
    int64_t begin  # [d][n][h]: the states before the first time step
    int64_t cell_begin  # likewise, of the cells of an LSTM
    int64_t cell  # scratch memory [d][n][h block][V] for the cells of an LSTM
    int64_t dst  # [t][d][n][h]: the states after each time step; strides for t, d and n
    int64_t last  # [d][n][h]: the states after the last time step
    int64_t cell_last  # likewise, of the cells
    Py_ssize_t gates  # a Kind
    Py_ssize_t T  # time steps
    Py_ssize_t N  # sequences
    Py_ssize_t D  # directions
    Py_ssize_t H  # units
    # strides in floats
    Py_ssize_t src_t
    Py_ssize_t src_n
    Py_ssize_t dst_t
    Py_ssize_t dst_d
    Py_ssize_t dst_n
    Py_ssize_t state_d  # of begin, cell_begin, last and cell_last
    Py_ssize_t state_n
    Py_ssize_t chunk  # sequences of an item
    bint reverse  # direction d goes backwards in time if d + reverse is 1
    bint begin_zero  # all states begin as 0
    bint has_last
    bint has_cell_last


# Most sequences of a tile of so many vectors of units.
cdef inline int most_rows(int blocks) noexcept nogil:
    return 6 if REGS == 32 and blocks == 1 else 2


# sums = bia + states x wei, of R sequences, B vectors of units and G gates; K products each.
cdef inline void products(const int R, const int B, const int G, const float* before, Py_ssize_t before_n, Py_ssize_t K,
                          const float* wei, Py_ssize_t block, const float* bia, float* sums) noexcept nogil:
    cdef Py_ssize_t k
    cdef int i
    cdef vf acc[MOST]
    for i in range(R * B * G):
        acc[i] = load(bia + i % (B * G) * V)
    for k in range(K):
        for i in range(R * B * G):
            acc[i] = vfma1(acc[i], before[i // (B * G) * before_n + k], load(wei + i // G % B * block + i % G * V))
        wei += G * V
    for i in range(R * B * G):
        store(sums + i * V, acc[i])


# `products` for numbers that are known only at run time. One or two sequences take two vectors of units if there are registers
# enough: the multiply-adds of four sums would wait for each other.
cdef inline void choose(int rows, int blocks, const int G, const float* before, Py_ssize_t before_n, Py_ssize_t K,
                        const float* wei, Py_ssize_t block, const float* bia, float* sums) noexcept nogil:
    if REGS == 32 and blocks == 2:
        if rows == 2: products(2, 2, G, before, before_n, K, wei, block, bia, sums)
        else: products(1, 2, G, before, before_n, K, wei, block, bia, sums)
    elif REGS == 32 and rows == 6: products(6, 1, G, before, before_n, K, wei, block, bia, sums)
    elif REGS == 32 and rows == 5: products(5, 1, G, before, before_n, K, wei, block, bia, sums)
    elif REGS == 32 and rows == 4: products(4, 1, G, before, before_n, K, wei, block, bia, sums)
    elif REGS == 32 and rows == 3: products(3, 1, G, before, before_n, K, wei, block, bia, sums)
    elif rows == 2: products(2, 1, G, before, before_n, K, wei, block, bia, sums)
    else: products(1, 1, G, before, before_n, K, wei, block, bia, sums)


# Not inlined, as the functions of tiles.pxi.
cdef noinline tile_products(int rows, int blocks, int gates, const float* before, Py_ssize_t before_n, Py_ssize_t K,
                            const float* wei, Py_ssize_t block, const float* bia, float* sums) noexcept nogil:
    if gates == LSTM: choose(rows, blocks, LSTM, before, before_n, K, wei, block, bia, sums)
    elif gates == GRU: choose(rows, blocks, GRU, before, before_n, K, wei, block, bia, sums)
    else: choose(rows, blocks, RNN, before, before_n, K, wei, block, bia, sums)
    return 0


# A vector of units of one sequence: x and s are the gates' products with the inputs and with the states.
cdef noinline new_state(int gates, const float* x, const float* s, const float* before, float* cell, float* dst,
                        Py_ssize_t lanes) noexcept nogil:
    cdef float one = 1.0
    cdef vf update, c, y
    if gates == LSTM:  # input, output, forget, cell
        c = sigmoid(load(x + 2 * V) + load(s + 2 * V)) * load(cell)
        c = c + sigmoid(load(x) + load(s)) * tanh(load(x + 3 * V) + load(s + 3 * V))
        store(cell, c)
        y = sigmoid(load(x + V) + load(s + V)) * tanh(c)
    elif gates == GRU:  # update, reset, hidden
        update = sigmoid(load(x) + load(s))
        y = tanh(load(x + 2 * V) + sigmoid(load(x + V) + load(s + V)) * load(s + 2 * V))
        y = (one - update) * y + update * load_part(before, lanes, 0)
    else:
        y = tanh(load(x) + load(s))
    store_part(dst, y, lanes)
    return 0


# The time step of direction d with the inputs of time t, for `rows` sequences from `first` on.
cdef inline void advance(const Args* a, char** bases, Py_ssize_t d, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t t,
                         const float* before, Py_ssize_t before_n, Py_ssize_t K) noexcept nogil:
    cdef Py_ssize_t HB = (a.H + V - 1) // V, block = a.H * a.gates * V, hb = 0, own, n, u
    cdef int gates = <int> a.gates, blocks, count, tiles, i
    cdef float sums[MOST * 16]
    while hb < HB:
        own = d * HB + hb
        blocks = 2 if REGS == 32 and rows <= most_rows(2) and hb + 1 < HB else 1
        tiles = <int> ((rows + most_rows(blocks) - 1) // most_rows(blocks))
        n = 0
        while n < rows:
            count = <int> ((rows - n + tiles - 1) // tiles)
            tiles -= 1
            tile_products(count, blocks, gates, before + n * before_n, before_n, K, at(bases, a.wei) + own * block, block,
                          at(bases, a.bia) + own * gates * V, sums)
            for i in range(count * blocks):
                u = hb + i % blocks
                new_state(gates, at(bases, a.src) + t * a.src_t + (first + n) * a.src_n + (own + i % blocks) * gates * V,
                          sums + i * gates * V, before + n * before_n + u * V,
                          at(bases, a.cell) + ((d * a.N + first + n) * HB + u) * V,
                          at(bases, a.dst) + t * a.dst_t + d * a.dst_d + (first + n) * a.dst_n + u * V, min(a.H - u * V, V))
                n += i % blocks == blocks - 1
        hb += blocks


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t CHUNKS = (a.N + a.chunk - 1) // a.chunk, ROOM = (a.H + V - 1) // V * V, item, d, n, first, rows, i, t, state
    cdef float* cell
    cdef const float* before
    cdef Py_ssize_t before_n, K
    for item in range(share(a.D * CHUNKS, piece, pieces), share(a.D * CHUNKS, piece + 1, pieces)):
        d = item // CHUNKS
        first = item % CHUNKS * a.chunk
        rows = min(a.N - first, a.chunk)
        if a.gates == LSTM:
            for n in range(first, first + rows):
                cell = at(bases, a.cell) + (d * a.N + n) * ROOM
                memset(cell, 0, ROOM * sizeof(float))
                memcpy(cell, at(bases, a.cell_begin) + d * a.state_d + n * a.state_n, a.H * sizeof(float))
        before = at(bases, a.begin) + d * a.state_d + first * a.state_n
        before_n = a.state_n
        K = 0 if a.begin_zero else a.H
        for i in range(a.T):
            t = a.T - 1 - i if d + a.reverse == 1 else i
            advance(a, bases, d, first, rows, t, before, before_n, K)
            before = at(bases, a.dst) + t * a.dst_t + d * a.dst_d + first * a.dst_n
            before_n = a.dst_n
            K = a.H
        for n in range(first, first + rows):
            state = d * a.state_d + n * a.state_n
            if a.has_last:
                memcpy(at(bases, a.last) + state, before + (n - first) * before_n, a.H * sizeof(float))
            if a.has_cell_last:
                memcpy(at(bases, a.cell_last) + state, at(bases, a.cell) + (d * a.N + n) * ROOM, a.H * sizeof(float))


def tile_sequences():
    """The most sequences of a tile."""
    return most_rows(1)


include "step.pxi"
