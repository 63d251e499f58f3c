# Products of bytes by AMX: a tile of rows of 64 bytes is a register, and one instruction multiplies two of them.
#
# A unit is up to 16 pixels that lie evenly in a row. Two units and two vectors of output channels are computed together:
#
#     C0 C1   the sums: M pixels x 16 lanes of int32, of the first unit
#     C2 C3   of the second
#     A0 A1   the pixels of the two units: M x 64 bytes, at offset[s] from each pixel's first byte
#     B0 B1   the weights of a segment: [16 groups][16 lanes][4], 1 KB each
#
# M, the pixels of a unit, is that of the tiles' configuration, which a thread loads before the first product: all units of a step
# have as many.

from libc.stdint cimport int64_t, uint8_t

from dot cimport vi, vload4
from simd cimport V, load, vf
from tile_int8 cimport Tile, added, rounded, store_bytes

cdef extern from *:
    """
    #if defined(AMX_LOWERED)
      /* the registers as memory, for tests */
      static __thread struct { int M; union { unsigned char u8[16][64]; signed char s8[16][64]; int s32[16][16]; } tmm[8]; } amx;
      AI void tiles_begin(int M) { amx.M = M; }
      AI void tiles_end(void) {}
      AI void tile_load(int t, const void* p, Py_ssize_t step) {
          for (int r = 0; r < (t < 6 ? amx.M : 16); r++) __builtin_memcpy(amx.tmm[t].u8[r], (const char*)p + r * step, 64);
      }
      AI void tile_store(int t, void* p) {
          for (int r = 0; r < amx.M; r++) __builtin_memcpy((char*)p + r * 64, amx.tmm[t].u8[r], 64);
      }
      AI void tile_dot(int c, int a, int b) {
          for (int r = 0; r < amx.M; r++)
              for (int n = 0; n < 16; n++)
                  for (int k = 0; k < 64; k++)
                      amx.tmm[c].s32[r][n] += amx.tmm[a].u8[r][k] * amx.tmm[b].s8[k / 4][4 * n + k % 4];
      }
      #define TILE_LOAD(t, p, step) tile_load(t, p, step)
      #define TILE_STORE(t, p) tile_store(t, p)
      #define TILE_DOT(c, a, b) tile_dot(c, a, b)
    #elif defined(__AMX_INT8__)
      #define TILE_LOAD(t, p, step) __asm__ volatile ("tileloadd (%0,%1,1), %%tmm" #t :: "r" (p), "r" (step) : "memory")
      #define TILE_STORE(t, p) __asm__ volatile ("tilestored %%tmm" #t ", (%0,%1,1)" :: "r" (p), "r" (64L) : "memory")
      #define TILE_DOT(c, a, b) __asm__ volatile ("tdpbusd %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::: )
      AI void tiles_begin(int M) {
          struct { unsigned char palette, row, unused[14]; unsigned short bytes[16]; unsigned char rows[16]; } config = {.palette = 1};
          for (int t = 0; t < 8; t++) { config.bytes[t] = 64; config.rows[t] = t < 6 ? M : 16; }
          __asm__ volatile ("ldtilecfg %0" :: "m" (config));
      }
      AI void tiles_end(void) { __asm__ volatile ("tilerelease" ::: ); }
    #else
      AI void tiles_begin(int M) {}
      AI void tiles_end(void) {}
    #endif
    #if AMX
      /* C = start + the sum of A B for each of the segments; units and vectors are 1 or 2 */
      AI void tiles_sum(const int units, const int vectors, const unsigned char* a0, const unsigned char* a1, Py_ssize_t step,
                        const char* wei, Py_ssize_t wei_step, const int64_t* offset, Py_ssize_t segments, const char* ahead,
                        Py_ssize_t fetch, const int* start) {
          TILE_LOAD(0, start, 0L);  /* the same row for all pixels */
          if (vectors > 1) TILE_LOAD(1, start + V, 0L);
          if (units > 1) TILE_LOAD(2, start, 0L);
          if (units > 1 && vectors > 1) TILE_LOAD(3, start + V, 0L);
          for (Py_ssize_t s = 0; s < segments; s++) {
              TILE_LOAD(6, wei, 64L);
              TILE_LOAD(4, a0 + offset[s], step);
              TILE_DOT(0, 4, 6);
              if (units > 1) { TILE_LOAD(5, a1 + offset[s], step); TILE_DOT(2, 5, 6); }
              if (vectors > 1) { TILE_LOAD(7, wei + 1024, 64L); TILE_DOT(1, 4, 7); }
              if (units > 1 && vectors > 1) TILE_DOT(3, 5, 7);
              for (Py_ssize_t i = 0; i < fetch; i++, ahead += 64) PREFETCH(ahead);
              wei += wei_step;
          }
      }
      AI void tiles_store(const int units, const int vectors, int* sums) {
          TILE_STORE(0, sums);
          if (vectors > 1) TILE_STORE(1, sums + 256);
          if (units > 1) TILE_STORE(2, sums + 512);
          if (units > 1 && vectors > 1) TILE_STORE(3, sums + 768);
      }
    #else
      #define tiles_sum(...)
      #define tiles_store(...)
    #endif
    """
    void tiles_begin(int M) nogil
    void tiles_end() nogil
    void tiles_sum(const int units, const int vectors, const uint8_t* a0, const uint8_t* a1, Py_ssize_t step, const char* wei,
                   Py_ssize_t wei_step, const int64_t* offset, Py_ssize_t segments, const char* ahead, Py_ssize_t fetch,
                   const int* start) nogil
    void tiles_store(const int units, const int vectors, int* sums) nogil


cdef enum:
    TILE = 256  # lanes of int32


# Where a unit's pixels lie.
cdef struct Unit:
    const uint8_t* src
    uint8_t* dst
    const uint8_t* add


# The sums of one or two units and vectors of a panel, which wait in memory: the next ones are multiplied while these are stored.
cdef struct Sums:
    int units
    int vectors
    int j  # the first vector
    Unit unit[2]
    int* sums  # [unit][vector][TILE], a multiple of 64


# Round and store the sums of 4 / vectors pixels, from the first on; `last` is the last of them, from 0 on.
cdef inline void store_pixels(const bint RESIDUAL, const int vectors, int last, const Tile* t, const vf* factor,
                              const int* sums, uint8_t* dst, const uint8_t* add, vi zero, vi low, vi high) noexcept nogil:
    cdef int k, i
    cdef vi x[4]
    for k in range(4):
        i = min(k // vectors, last)
        x[k] = vload4(sums + k % vectors * TILE + i * V)
        if RESIDUAL:
            x[k] = added(t, x[k], factor[k % vectors], add + i * t.add_w + k % vectors * V)
        else:
            x[k] = rounded(x[k], factor[k % vectors])
    if vectors == 2:
        store_bytes(2, dst, dst + min(1, last) * t.dst_w, NULL, NULL, x[0], x[1], x[2], x[3], zero, low, high)
    else:
        store_bytes(1, dst, dst + min(1, last) * t.dst_w, dst + min(2, last) * t.dst_w, dst + min(3, last) * t.dst_w,
                    x[0], x[1], x[2], x[3], zero, low, high)


# Round and store the sums of a unit of M pixels, and add the residual where RESIDUAL says so.
cdef inline void store_unit(const bint RESIDUAL, const int vectors, int M, int j, const Tile* t, const Unit* unit,
                            const int* sums) noexcept nogil:
    cdef int i, _pixels, step = 4 // vectors
    cdef uint8_t* dst = unit.dst + j * V
    cdef const uint8_t* add = unit.add + j * V
    cdef vf factor[2]
    cdef vi zero = t.zero, low = t.low, high = t.high  # kept in registers: stores of bytes could change what t has
    for i in range(vectors):
        factor[i] = load(t.factor + (j + i) * V)
    for _pixels in range(M // step):
        store_pixels(RESIDUAL, vectors, step - 1, t, factor, sums, dst, add, zero, low, high)
        sums += step * V
        dst += step * t.dst_w
        add += step * t.add_w
    if M % step:
        store_pixels(RESIDUAL, vectors, M % step - 1, t, factor, sums, dst, add, zero, low, high)


cdef inline void store_sums(const bint RESIDUAL, const int vectors, int M, const Tile* t, const Sums* s) noexcept nogil:
    cdef int i
    for i in range(s.units):
        store_unit(RESIDUAL, vectors, M, s.j, t, &s.unit[i], s.sums + i * 2 * TILE)


# One or two units of M pixels, and `vectors` of a panel of J, from vector j on.
cdef inline void multiply(const int units, const int vectors, int J, const Tile* t, const Sums* s, const char* wei,
                          const char* ahead) noexcept nogil:
    tiles_sum(units, vectors, s.unit[0].src, s.unit[units - 1].src, t.src_w, wei + s.j * 4 * TILE, J * 4 * TILE, t.offset,
              t.segments, ahead, t.fetch, t.start + s.j * V)
