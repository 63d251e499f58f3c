"""Winograd's F(4x4, 3x3), F(2x2, 5x5) and F(2x2, 3x3): convolutions of stride 1 with 25, 36 and 44 % of the products.

An output tile of MxM pixels is A^T [(G g G^T) * (B^T d B)] A, where d is its WxW window of the source and g the filter: WW = 36
products for a pair of channels instead of 144 (100), or 16 instead of 36. With the points 0, ±1/√2, ±√2 for a window of 6, the
rounding error is about four times that of direct convolution; a window of 4 has the points 0, ±1 (Lavin and Gray, arXiv 1509.09308;
for the choice of points Barabasz et al., arXiv 1803.10986). B^T depends on the points alone, so both tiles with windows of 6 have
the same.

A dilated convolution, whose taps are D pixels apart, is DxD interleaved convolutions of stride 1, and an output tile belongs to one
of them: its pixels and those of its window are D apart too. D tile rows that begin at neighbouring pixels cover M * D rows of
pixels, then the next D follow; the same holds for tile columns.

Tiles are numbered through (image, tile row, tile column) and computed in blocks of TB: windows, then products, then outputs. The
products are computed one position of the window after the other: the values of all tiles at a position stay in L2 while its weights
are streamed, once for a block.

Layouts: src is nChw{V}c with a halo of zeros that covers whole tiles; wei = [panel][WW][IC][width * V], made by `pack`; add and
dst are nChw{V}c. Transformed windows of a block are [WW][ic block][TB][V], products are [WW][oc block][TB][V], with a gap of 64
bytes behind each of the WW planes, so that they do not all fall on the same cache sets.

Parallel over blocks (`WHOLE`), which do not depend on each other. If they are few, or if one thread alone should read the weights,
a block is three steps: `WINDOWS` and `OUTPUTS` are parallel over (channel block, tile), `PRODUCTS` over (position, panel).
"""

from libc.math cimport sqrt
from libc.stdint cimport int64_t

from activation cimport Activation, clip
from constants cimport CLIP
from panels cimport panels, width_of
from simd cimport PREFETCH, V, load, store, vf
from step cimport at, share
from tile cimport ROWS, Store, Taps, rows
from view cimport View, pixel

include "tiles.pxi"

cpdef enum:
    GAP = 16  # floats between the planes of windows or of products

# what `phase` may be
cpdef enum:
    WINDOWS
    PRODUCTS
    OUTPUTS
    WHOLE

cdef struct Args:
    View src  # first tap of the first tile
    View add
    View dst
    int64_t wei
    int64_t bia
    int64_t taps  # int64 offset of each ic block of the transformed windows, in floats
    int64_t zeros  # the bias of the products
    int64_t windows  # scratch memory for transformed windows; if `WHOLE`, for each thread
    int64_t products  # scratch memory for products, likewise
    int phase
    Py_ssize_t M  # an output tile has MxM pixels
    Py_ssize_t W  # a window has WxW pixels
    Py_ssize_t D  # dilation
    Py_ssize_t N
    Py_ssize_t IC
    Py_ssize_t OCB  # blocks of output channels
    Py_ssize_t OH
    Py_ssize_t OW
    Py_ssize_t TB  # tiles of a block
    Py_ssize_t first  # the block's first tile; not used if `WHOLE`
    bint has_add
    Activation act


# B^T of W vectors that are `stride` vectors apart.
cdef inline void window_row(const int W, const vf* x, const int stride, vf* y) noexcept nogil:
    cdef float r = 0.70710678118654752, q = 1.41421356237309505, h = 2.5, half = 0.5, two = 2.0
    cdef vf d1 = x[stride], d2 = x[2 * stride], d3 = x[3 * stride], d4, a, b, c, e
    if W == 4:
        y[0] = x[0] - d2
        y[1] = d1 + d2
        y[2] = d2 - d1
        y[3] = d3 - d1
        return
    d4 = x[4 * stride]
    a = d4 - two * d2
    b = q * d1 - r * d3
    c = d4 - half * d2
    e = q * d3 - r * d1
    y[0] = x[0] + d4 - h * d2
    y[1] = a - b
    y[2] = a + b
    y[3] = c + e
    y[4] = c - e
    y[5] = d1 + x[5 * stride] - h * d3


# A^T of W vectors that are `stride` vectors apart to M.
cdef inline void tile_row(const int M, const int W, const vf* x, const int stride, vf* y) noexcept nogil:
    cdef float r = 0.70710678118654752, q = 1.41421356237309505, half = 0.5, two = 2.0
    cdef float r2 = 0.35355339059327376, q2 = 2.8284271247461903
    cdef vf m1 = x[stride], m2 = x[2 * stride], m3 = x[3 * stride], m4, c, e
    cdef vf a = m1 + m2, b = m1 - m2
    if W == 4:
        y[0] = x[0] + a
        y[1] = b + m3
        return
    m4 = x[4 * stride]
    c = m3 + m4
    e = m3 - m4
    y[0] = x[0] + a + c
    if M == 2:
        y[1] = r * b + q * e + x[5 * stride]
    else:
        y[1] = r * b + q * e
        y[2] = half * a + two * c
        y[3] = r2 * b + q2 * e + x[5 * stride]


# Floats from one position of the windows or products to the next.
cdef inline Py_ssize_t plane(const Args* a, Py_ssize_t blocks) noexcept nogil:
    return blocks * a.TB * V + GAP


# Tile rows or columns that cover `size` pixels: D for every M * D pixels, and those that begin in the rest.
cdef inline Py_ssize_t along(const Args* a, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t span = a.M * a.D
    return size // span * a.D + min(size % span, a.D)


cdef inline Py_ssize_t tiles(const Args* a) noexcept nogil:
    return a.N * along(a, a.OH) * along(a, a.OW)


# An output tile's image and first pixel, and which of the DxD interleaved images it belongs to.
cdef struct Place:
    Py_ssize_t n
    Py_ssize_t oh
    Py_ssize_t ow
    Py_ssize_t i
    Py_ssize_t j


cdef inline Place find(const Args* a, Py_ssize_t t) noexcept nogil:
    cdef Py_ssize_t TH = along(a, a.OH), TW = along(a, a.OW), row = t // TW % TH, column = t % TW
    cdef Py_ssize_t i = row % a.D, j = column % a.D
    return Place(t // TW // TH, row // a.D * a.M * a.D + i, column // a.D * a.M * a.D + j, i, j)


# Go to the next tile along an axis. k counts the tiles that begin at neighbouring pixels.
cdef inline void forward(const Args* a, Py_ssize_t D, Py_ssize_t* begin, Py_ssize_t* k) noexcept nogil:
    begin[0] += 1
    k[0] += 1
    if k[0] == D:
        begin[0] += (a.M - 1) * D
        k[0] = 0


cdef inline void advance(const Args* a, Py_ssize_t D, Place* tile) noexcept nogil:
    forward(a, D, &tile.ow, &tile.j)
    if tile.ow >= a.OW:
        tile.ow = tile.j = 0
        forward(a, D, &tile.oh, &tile.i)
        if tile.oh >= a.OH:
            tile.oh = tile.i = 0
            tile.n += 1


# How many of the M pixels of a tile, D apart, are inside the image, which has `left` pixels from the first of them on.
cdef inline Py_ssize_t inside(const int M, Py_ssize_t D, Py_ssize_t left) noexcept nogil:
    cdef Py_ssize_t count = M
    while (count - 1) * D >= left:
        count -= 1
    return count


# Prefetch M pixels of a row. D tiles together prefetch what is read or written 2 * D tiles later.
cdef inline void fetch(const Args* a, const float* pixels) noexcept nogil:
    cdef Py_ssize_t at_
    for at_ in range(0, a.M * V, 16):
        PREFETCH(pixels + at_)


# Transform the windows of channel block `block` and `count` tiles from `first` on. With `dense`, D is 1, a literal.
cdef inline void transform(const int W, const bint dense, const Args* a, char** bases, Py_ssize_t block, Py_ssize_t first,
                           Py_ssize_t count, float* dst) noexcept nogil:
    cdef Py_ssize_t PLANE = plane(a, (a.IC + V - 1) // V), D = 1 if dense else a.D, h = D * a.src.h, w = D * V, t
    cdef const float* src
    cdef Place tile = find(a, first)
    cdef vf x[6]
    cdef vf y[36]
    cdef int i, j
    for t in range(count):
        src = pixel(bases, &a.src, tile.n, block, tile.oh, tile.ow)
        for i in range(W):
            fetch(a, src + i * h + (a.M + W) * w + (0 if dense else tile.j * (a.M - 1) * V))
            for j in range(W):
                x[j] = load(src + i * h + j * w)
            window_row(W, x, 1, &y[i * W])
        for j in range(W):
            window_row(W, &y[j], W, x)
            for i in range(W):
                store(dst + t * V + (i * W + j) * PLANE, x[i])
        advance(a, D, &tile)


# The outputs of channel block `block` and `count` tiles from `first` on: inverse transforms of `src`, bias, add and activation.
cdef inline void inverse(const int M, const int W, const bint dense, const Args* a, char** bases, Py_ssize_t block,
                         Py_ssize_t first, Py_ssize_t count, const float* src) noexcept nogil:
    cdef Py_ssize_t PLANE = plane(a, a.OCB), D = 1 if dense else a.D, h = D * a.dst.h, w = D * a.dst.w
    cdef Py_ssize_t add_h = D * a.add.h, add_w = D * a.add.w, t, down, across
    cdef int i, j
    cdef const float* add
    cdef float* dst
    cdef Place tile = find(a, first)
    cdef vf x[6]
    cdef vf y[24]
    cdef vf bias = load(at(bases, a.bia) + block * V), v
    for t in range(count):
        for i in range(W):
            for j in range(W):
                x[j] = load(src + t * V + (i * W + j) * PLANE)
            tile_row(M, W, x, 1, &y[i * M])
        dst = pixel(bases, &a.dst, tile.n, block, tile.oh, tile.ow)
        add = pixel(bases, &a.add, tile.n, block, tile.oh, tile.ow)
        down = inside(M, D, a.OH - tile.oh)
        across = inside(M, D, a.OW - tile.ow)
        for i in range(M):
            fetch(a, dst + i * h + 2 * M * D * V + (0 if dense else tile.j * (M - 1) * V))
        for j in range(M):
            tile_row(M, W, &y[j], M, x)
            for i in range(M):
                if i < down and j < across:
                    v = x[i] + bias
                    if a.has_add:
                        v = v + load(add + i * add_h + j * add_w)
                    if a.act.kind == CLIP:
                        v = clip(v, a.act.a, a.act.b)
                    store(dst + i * h + j * w, v)
        if a.act.kind != CLIP:
            for i in range(down):
                for j in range(across):
                    finish(&a.act, dst + i * h + j * w, 1)
        advance(a, D, &tile)


# `transform` and `inverse` for the tile's size.
cdef inline void windows_of(const bint dense, const Args* a, char** bases, Py_ssize_t block, Py_ssize_t first, Py_ssize_t count,
                            float* dst) noexcept nogil:
    if a.W == 4:
        transform(4, dense, a, bases, block, first, count, dst)
    else:
        transform(6, dense, a, bases, block, first, count, dst)


cdef inline void outputs_of(const bint dense, const Args* a, char** bases, Py_ssize_t block, Py_ssize_t first, Py_ssize_t count,
                            const float* src) noexcept nogil:
    if a.W == 4:
        inverse(2, 4, dense, a, bases, block, first, count, src)
    elif a.M == 4:
        inverse(4, 6, dense, a, bases, block, first, count, src)
    else:
        inverse(2, 6, dense, a, bases, block, first, count, src)


# The weights of a panel at one position.
cdef inline const float* weights(const Args* a, char** bases, Py_ssize_t block, Py_ssize_t position) noexcept nogil:
    return at(bases, a.wei) + (block * a.W * a.W + position * width_of(a.OCB, block)) * V * a.IC


# A panel's products of `count` tiles at one position, whose windows are `src`. The weights that come next begin at `ahead`.
cdef void multiply(const Args* a, char** bases, Py_ssize_t block, Py_ssize_t position, Py_ssize_t count, const float* src,
                   float* dst, const float* ahead) noexcept nogil:
    cdef int width = width_of(a.OCB, block), r, i = 0, some
    cdef int times = <int> (count + rows(width) - 1) // rows(width), least = <int> count // times, longer = <int> count % times
    cdef int lines = V * width * V // 16
    cdef const float* wei = weights(a, bases, block, position)
    cdef const float* px[ROWS]
    cdef Taps taps
    cdef Store to
    taps.offset = <const int64_t*> at(bases, a.taps)
    taps.ahead = ahead
    taps.src_w = V
    taps.segments = a.IC // V
    taps.length = V
    taps.tail_length = a.IC % V
    taps.tail_segments = 1 if taps.tail_length else 0
    to.bia = at(bases, a.zeros)
    to.dst_c = a.TB * V
    to.has_add = False
    to.resume = False
    to.final = False
    px[0] = src
    to.dst[0] = dst
    taps.lines = lines
    taps.fetch = (lines + times - 1) // times
    while i < times:
        r = least + (i < longer)
        some = (longer if i < longer else times) - i
        near_tiles(r, width, some, px, wei, &taps, &to)
        px[0] += some * r * V
        to.dst[0] += some * r * V
        i += some


# A piece of one phase of the block of tiles that begins at `start`.
cdef void compute(const Args* a, char** bases, int phase, Py_ssize_t start, Py_ssize_t piece, Py_ssize_t pieces, float* windows,
                  float* products) noexcept nogil:
    cdef Py_ssize_t count = min(a.TB, tiles(a) - start), ICB = (a.IC + V - 1) // V, PANELS = panels(a.OCB)
    cdef Py_ssize_t items = a.W * a.W * PANELS if phase == PRODUCTS else (ICB if phase == WINDOWS else a.OCB) * count
    cdef Py_ssize_t item = share(items, piece, pieces), end = share(items, piece + 1, pieces), block, first, some
    while item < end and phase == PRODUCTS:
        first = item // PANELS
        block = item % PANELS * 2
        item += 1
        multiply(a, bases, block, first, count, windows + first * plane(a, ICB),
                 products + first * plane(a, a.OCB) + block * a.TB * V, weights(a, bases, item % PANELS * 2, item // PANELS))
    while item < end:  # the tiles of one channel block
        block = item // count
        first = item % count
        some = min(count - first, end - item)
        item += some
        if phase == WINDOWS and a.D == 1:
            windows_of(True, a, bases, block, start + first, some, windows + (block * a.TB + first) * V)
        elif phase == WINDOWS:
            windows_of(False, a, bases, block, start + first, some, windows + (block * a.TB + first) * V)
        elif a.D == 1:
            outputs_of(True, a, bases, block, start + first, some, products + (block * a.TB + first) * V)
        else:
            outputs_of(False, a, bases, block, start + first, some, products + (block * a.TB + first) * V)


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t BLOCKS = (tiles(a) + a.TB - 1) // a.TB, item
    cdef float* windows = at(bases, a.windows)
    cdef float* products = at(bases, a.products)
    if a.phase != WHOLE:
        compute(a, bases, a.phase, a.first, piece, pieces, windows, products)
        return
    windows += thread * a.W * a.W * plane(a, (a.IC + V - 1) // V)
    products += thread * a.W * a.W * plane(a, a.OCB)
    for item in range(share(BLOCKS, piece, pieces), share(BLOCKS, piece + 1, pieces)):
        compute(a, bases, WINDOWS, item * a.TB, 0, 1, windows, products)
        compute(a, bases, PRODUCTS, item * a.TB, 0, 1, windows, products)
        compute(a, bases, OUTPUTS, item * a.TB, 0, 1, windows, products)


include "step.pxi"


# A row of G times K values of V filters, `stride` vectors apart.
cdef inline void filter_row(const int K, const double* G, const double* g, const int stride, double* y) noexcept nogil:
    cdef int n, lane
    for lane in range(V):
        y[lane] = G[0] * g[lane]
        for n in range(1, K):
            y[lane] += G[n] * g[n * stride * V + lane]


# G g G^T of V filters, of which `lanes` are there, IC filters apart; their WxW values go to dst, `stride` floats apart.
cdef inline void filters(const int K, const int W, const double (*G)[5], const float* w, const double* factors, Py_ssize_t IC,
                         Py_ssize_t lanes, float* dst, Py_ssize_t stride) noexcept nogil:
    cdef int i, k, lane
    cdef double[25 * V] g
    cdef double[6 * 5 * V] half
    cdef double[V] y
    for lane in range(V):
        for i in range(K * K):
            g[i * V + lane] = <float> (w[lane * IC * K * K + i] * factors[lane]) if lane < lanes else 0
    for i in range(W):
        for k in range(K):
            filter_row(K, G[i], g + k * V, K, half + (i * K + k) * V)
    for i in range(W):
        for k in range(W):
            filter_row(K, G[k], half + i * K * V, 1, y)
            for lane in range(V):
                dst[lane] = <float> y[lane]
            dst += stride


def pack(size_t weights, size_t scale, Py_ssize_t OC, Py_ssize_t IC, int K, int W, size_t packed):
    """Write G g G^T, WxW, of every filter of some panels to `packed`, computed in float64 and rounded once.

    Addresses: `weights` of OC IC K K floats; `scale`, a factor (float64) for each OC: the products of weights and factors are
    rounded to floats first.
    """
    cdef const float* w = <const float*> weights
    cdef const double* factors = <const double*> scale
    cdef float* dst = <float*> packed
    cdef Py_ssize_t OCB = (OC + V - 1) // V, block = 0, ic, width, stride, j, oc
    cdef double p = sqrt(0.5) if W == 6 else 1, lagrange
    cdef double[4] points = [p, -p, sqrt(2), -sqrt(2)]  # the first W - 2 of them, beside 0 and infinity
    cdef double[6][5] G
    cdef int i, k
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
            width = width_of(OCB, block)
            stride = IC * width * V
            for ic in range(IC):
                for j in range(width):
                    oc = (block + j) * V
                    if W == 4:
                        filters(3, 4, G, w + (oc * IC + ic) * 9, factors + oc, IC, OC - oc, dst, stride)
                    elif K == 3:
                        filters(3, 6, G, w + (oc * IC + ic) * 9, factors + oc, IC, OC - oc, dst, stride)
                    else:
                        filters(5, 6, G, w + (oc * IC + ic) * 25, factors + oc, IC, OC - oc, dst, stride)
                    dst += V
            dst += (W * W - 1) * stride
            block += width
