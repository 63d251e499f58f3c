"""Winograd's F(4x4, 3x3), F(2x2, 5x5) and F(2x2, 3x3): convolutions of stride 1 with 25, 36 and 44 % of the products.

An output tile of MxM pixels is A^T [(G g G^T) * (B^T d B)] A, where d is its WxW window of the source and g the filter: WW = 36
products a pair of channels in place of 144 (100), or 16 in place of 36. The points 0, ±1/√2, ±√2 of a window of 6 keep the
rounding error at about four times direct convolution's; one of 4 has 0, ±1 (Lavin and Gray, arXiv 1509.09308; for the choice of
points Barabasz et al., arXiv 1803.10986). B^T comes from the points alone: both tiles of a window of 6 have the same.

Layouts: src is nChw{V}c with a halo of zeros wide enough for whole tiles; wei = [oc part][WW][IC][width * V], made by `pack`;
add and dst are nChw{V}c. Tiles are numbered flat over (image, tile row, tile column) and go in blocks of TB. Transformed
windows of a block lie as [WW][ic block][TB][V], each of the WW planes 64 bytes longer than needed, so that they do not all
fall on the same cache sets; the products of one part as [WW][width][TB][V].

Where tiles are many, an item is a block: transform, product and inverse transform follow each other in L2 (`FUSED`). Where
they are few, all windows are transformed in one step (`WINDOWS`) and multiplied in the next (`PRODUCTS`), whose items are
pairs of block and part, so that threads share the weights, which are the larger part then.
"""

from libc.math cimport sqrt
from libc.stdint cimport int64_t

from activation cimport CLIP, Activation, activate, clip
from simd cimport V, load, store, vf
from step cimport Run, at, share
from tile cimport Store, Taps, rows, run_tile

cdef enum Phase:
    FUSED
    WINDOWS
    PRODUCTS

cdef struct Args:
    int64_t src
    int64_t wei
    int64_t bia
    int64_t add
    int64_t dst
    int64_t taps
    int64_t zeros
    int64_t windows
    int64_t products
    int phase
    Py_ssize_t M
    Py_ssize_t W
    Py_ssize_t N
    Py_ssize_t IC
    Py_ssize_t OCB
    Py_ssize_t OH
    Py_ssize_t OW
    Py_ssize_t TB
    # strides in floats; src is at the first tap of the first tile
    Py_ssize_t src_n
    Py_ssize_t src_c
    Py_ssize_t src_h
    Py_ssize_t add_n
    Py_ssize_t add_c
    Py_ssize_t add_h
    Py_ssize_t add_w
    Py_ssize_t dst_n
    Py_ssize_t dst_c
    Py_ssize_t dst_h
    Py_ssize_t dst_w
    bint has_add
    Activation act


# B^T of W vectors, `step` vectors apart in x and y, which may be the same.
cdef inline void window_row(const int W, const vf* x, vf* y, const int step) noexcept nogil:
    cdef float r = 0.70710678118654752, q = 1.41421356237309505, h = 2.5, half = 0.5, two = 2.0
    cdef vf d1 = x[step], d2 = x[2 * step], d3 = x[3 * step], d4, a, b, c, e
    if W == 4:
        y[0] = x[0] - d2
        y[step] = d1 + d2
        y[2 * step] = d2 - d1
        y[3 * step] = d3 - d1
        return
    d4 = x[4 * step]
    a = d4 - two * d2
    b = q * d1 - r * d3
    c = d4 - half * d2
    e = q * d3 - r * d1
    y[0] = x[0] + d4 - h * d2
    y[step] = a - b
    y[2 * step] = a + b
    y[3 * step] = c + e
    y[4 * step] = c - e
    y[5 * step] = d1 + x[5 * step] - h * d3


# A^T of W vectors to M.
cdef inline void tile_row(const int M, const int W, const vf* x, const int xstep, vf* y, const int ystep) noexcept nogil:
    cdef float r = 0.70710678118654752, q = 1.41421356237309505, half = 0.5, two = 2.0
    cdef float r2 = 0.35355339059327376, q2 = 2.8284271247461903
    cdef vf m1 = x[xstep], m2 = x[2 * xstep], m3 = x[3 * xstep], m4, c, e
    cdef vf a = m1 + m2, b = m1 - m2
    if W == 4:
        y[0] = x[0] + a
        y[ystep] = b + m3
        return
    m4 = x[4 * xstep]
    c = m3 + m4
    e = m3 - m4
    y[0] = x[0] + a + c
    if M == 2:
        y[ystep] = r * b + q * e + x[5 * xstep]
    else:
        y[ystep] = r * b + q * e
        y[2 * ystep] = half * a + two * c
        y[3 * ystep] = r2 * b + q2 * e + x[5 * xstep]


# An output tile's image, row and column among the tiles.
cdef struct Place:
    Py_ssize_t n
    Py_ssize_t th
    Py_ssize_t tw


cdef inline Place find(const Args* a, Py_ssize_t t) noexcept nogil:
    cdef Py_ssize_t TH = (a.OH + a.M - 1) // a.M, TW = (a.OW + a.M - 1) // a.M
    return Place(t // TW // TH, t // TW % TH, t % TW)


cdef inline void advance(const Args* a, Place* tile) noexcept nogil:
    tile.tw += 1
    if tile.tw * a.M >= a.OW:
        tile.tw = 0
        tile.th += 1
        if tile.th * a.M >= a.OH:
            tile.th = 0
            tile.n += 1


# The windows of `count` tiles from `first` on, channel blocks [cb0, cb1): dst = [WW][ICB][TB][V]. Tile follows tile within a channel
# block, so that the processor's prefetch sees W rows to follow, not W of every block.
cdef inline void transform(const int W, const Args* a, const float* source, Py_ssize_t first, Py_ssize_t count, Py_ssize_t cb0,
                           Py_ssize_t cb1, float* dst) noexcept nogil:
    cdef Py_ssize_t ICB = (a.IC + V - 1) // V, PLANE = ICB * a.TB * V + 16, t, cb
    cdef const float* src
    cdef float* to
    cdef Place tile
    cdef vf x[36]
    cdef int i, j
    for cb in range(cb0, cb1):
        tile = find(a, first)
        for t in range(count):
            src = source + tile.n * a.src_n + cb * a.src_c + tile.th * a.M * a.src_h + tile.tw * a.M * V
            for i in range(W):
                for j in range(W):
                    x[i * W + j] = load(src + i * a.src_h + j * V)
                window_row(W, &x[i * W], &x[i * W], 1)
            for j in range(W):
                window_row(W, &x[j], &x[j], W)
            to = dst + (cb * a.TB + t) * V
            for i in range(W * W):
                store(to + i * PLANE, x[i])
            advance(a, &tile)


cdef void windows(const Args* a, const float* source, Py_ssize_t first, Py_ssize_t count, Py_ssize_t cb0, Py_ssize_t cb1,
                  float* dst) noexcept nogil:
    if a.W == 6:
        transform(6, a, source, first, count, cb0, cb1, dst)
    else:
        transform(4, a, source, first, count, cb0, cb1, dst)


# One part's products over `count` tiles.
cdef void multiply(const Args* a, char** bases, Py_ssize_t block, Py_ssize_t count, const float* transformed,
                   float* products) noexcept nogil:
    cdef Py_ssize_t PLANE = (a.IC + V - 1) // V * a.TB * V + 16
    cdef int width = <int> (a.OCB - block) if a.OCB - block <= 3 else 2, f, r, i
    cdef int tiles = <int> (count + rows(width) - 1) // rows(width), least = <int> count // tiles, longer = <int> count % tiles
    cdef const float* wei = at(bases, a.wei) + block * V * a.W * a.W * a.IC
    cdef const float* px[14]
    cdef Taps taps
    cdef Store to
    taps.offset = <const int64_t*> at(bases, a.taps)
    taps.segments = a.IC // V
    taps.length = V
    taps.fetch = (V * width * V // 16 + tiles - 1) // tiles
    taps.tail_length = a.IC % V
    taps.tail_segments = 1 if taps.tail_length else 0
    to.bia = at(bases, a.zeros)
    to.dst_c = a.TB * V
    to.resume = False
    to.final = False
    for f in range(a.W * a.W):
        px[0] = transformed + f * PLANE
        to.dst[0] = products + f * width * a.TB * V
        taps.ahead = wei + (f + 1) * a.IC * width * V
        for i in range(tiles):
            r = least + (i < longer)
            run_tile(r, width, True, px, wei + f * a.IC * width * V, &taps, &to)
            px[0] += r * V
            to.dst[0] += r * V
            taps.ahead += taps.segments * taps.fetch * 16


# The outputs of one part: its products' inverse transforms, bias, add and activation.
cdef inline void outputs(const int M, const int W, const Args* a, char** bases, Py_ssize_t block, Py_ssize_t first,
                         Py_ssize_t count, const float* products) noexcept nogil:
    cdef Py_ssize_t t, oh, ow
    cdef int width = <int> (a.OCB - block) if a.OCB - block <= 3 else 2, i, j, k
    cdef const float* m
    cdef const float* add
    cdef float* dst
    cdef float* to
    cdef Place tile
    cdef vf x[36]
    cdef vf y[24]
    cdef vf bias, v
    for k in range(width):
        bias = load(at(bases, a.bia) + (block + k) * V)
        tile = find(a, first)
        for t in range(count):
            m = products + (k * a.TB + t) * V
            for i in range(W * W):
                x[i] = load(m + i * a.TB * width * V)
            for i in range(W):
                tile_row(M, W, &x[i * W], 1, &y[i * M], 1)
            for j in range(M):
                tile_row(M, W, &y[j], M, &x[j], M)
            dst = at(bases, a.dst) + tile.n * a.dst_n + (block + k) * a.dst_c + tile.th * M * a.dst_h + tile.tw * M * a.dst_w
            add = at(bases, a.add) + tile.n * a.add_n + (block + k) * a.add_c + tile.th * M * a.add_h + tile.tw * M * a.add_w
            for oh in range(min(M, a.OH - tile.th * M)):
                for ow in range(min(M, a.OW - tile.tw * M)):
                    v = x[oh * M + ow] + bias
                    if a.has_add:
                        v = v + load(add + oh * a.add_h + ow * a.add_w)
                    if a.act.kind == CLIP:
                        v = clip(v, a.act.a, a.act.b)
                    store(dst + oh * a.dst_h + ow * a.dst_w, v)
            if a.act.kind != CLIP:
                for oh in range(min(M, a.OH - tile.th * M)):
                    for ow in range(min(M, a.OW - tile.tw * M)):
                        to = dst + oh * a.dst_h + ow * a.dst_w
                        store(to, activate(load(to), a.act.kind, a.act.a, a.act.b))
            advance(a, &tile)


cdef void part(const Args* a, char** bases, Py_ssize_t block, Py_ssize_t first, Py_ssize_t count, const float* transformed,
               float* scratch) noexcept nogil:
    multiply(a, bases, block, count, transformed, scratch)
    if a.W == 4:
        outputs(2, 4, a, bases, block, first, count, scratch)
    elif a.M == 4:
        outputs(4, 6, a, bases, block, first, count, scratch)
    else:
        outputs(2, 6, a, bases, block, first, count, scratch)


cdef void run(const Args* a, char** bases, Py_ssize_t thread, Py_ssize_t threads) noexcept nogil:
    cdef Py_ssize_t TILES = a.N * ((a.OH + a.M - 1) // a.M) * ((a.OW + a.M - 1) // a.M), BLOCKS = (TILES + a.TB - 1) // a.TB
    cdef Py_ssize_t ICB = (a.IC + V - 1) // V, PARTS = a.OCB // 2 if a.OCB > 1 else 1
    cdef Py_ssize_t WW = a.W * a.W, BLOCK = WW * (ICB * a.TB * V + 16), item, first, p, items
    cdef const float* src = at(bases, a.src)
    cdef float* transformed = at(bases, a.windows)
    cdef float* scratch = at(bases, a.products) + thread * WW * a.TB * 3 * V
    if a.phase == FUSED:
        transformed += thread * BLOCK
        for item in range(share(BLOCKS, thread, threads), share(BLOCKS, thread + 1, threads)):
            first = item * a.TB
            windows(a, src, first, min(a.TB, TILES - first), 0, ICB, transformed)
            for p in range(PARTS):
                part(a, bases, p * 2, first, min(a.TB, TILES - first), transformed, scratch)
    elif a.phase == WINDOWS:
        items = BLOCKS * ICB
        for item in range(share(items, thread, threads), share(items, thread + 1, threads)):
            first = item // ICB * a.TB
            windows(a, src, first, min(a.TB, TILES - first), item % ICB, item % ICB + 1, transformed + item // ICB * BLOCK)
    else:
        items = PARTS * BLOCKS
        for item in range(share(items, thread, threads), share(items, thread + 1, threads)):
            first = item % BLOCKS * a.TB
            part(a, bases, item // BLOCKS * 2, first, min(a.TB, TILES - first), transformed + item % BLOCKS * BLOCK, scratch)


def step(dict fields):
    """(address of the kernel, bytes of its arguments); see step.pxd."""
    cdef Args args = fields
    return <size_t> <Run> &run, (<char*> &args)[:sizeof(Args)]


def pack(size_t weights, size_t scale, Py_ssize_t OC, Py_ssize_t IC, int K, int W, size_t packed):
    """G g G^T, WxW, of every filter of some parts' weights, in float64 and rounded once, to `packed`.

    Addresses: weights, OC IC K K; scale, a factor (float64) for each OC, with which they are multiplied and rounded before.
    """
    cdef const float* w = <const float*> weights
    cdef const float* from_
    cdef const double* factors = <const double*> scale
    cdef float* dst = <float*> packed
    cdef float* to
    cdef Py_ssize_t OCB = (OC + V - 1) // V, block = 0, ic, width, step, j, oc
    cdef double p = sqrt(0.5) if W == 6 else 1, lagrange
    cdef double[4] points = [p, -p, sqrt(2), -sqrt(2)]  # the first W - 2 of them, beside 0 and infinity
    cdef double[6][5] G
    cdef double[25][V] g
    cdef double[6][5][V] half
    cdef double[V] total
    cdef int i, k, n, lane
    for k in range(K):
        G[0][k] = k == 0
        G[W - 1][k] = k == K - 1
    for i in range(W - 2):
        lagrange = points[i]
        for k in range(W - 2):
            if k != i:
                lagrange *= points[i] - points[k]
        for k in range(K):
            G[i + 1][k] = points[i] ** k / lagrange
    with nogil:
        while block < OCB:
            width = OCB - block if OCB - block <= 3 else 2
            step = IC * width * V
            for ic in range(IC):
                for j in range(width):
                    for lane in range(V):
                        oc = (block + j) * V + lane
                        from_ = w + (oc * IC + ic) * K * K
                        for i in range(K * K):
                            g[i][lane] = <float> (from_[i] * factors[oc]) if oc < OC else 0
                    for i in range(W):
                        for k in range(K):
                            for lane in range(V):
                                half[i][k][lane] = 0
                            for n in range(K):
                                for lane in range(V):
                                    half[i][k][lane] += G[i][n] * g[n * K + k][lane]
                    to = dst + (ic * width + j) * V
                    for i in range(W):
                        for k in range(W):
                            for lane in range(V):
                                total[lane] = 0
                            for n in range(K):
                                for lane in range(V):
                                    total[lane] += half[i][n][lane] * G[k][n]
                            for lane in range(V):
                                to[lane] = <float> total[lane]
                            to += step
            dst += W * W * step
            block += width
