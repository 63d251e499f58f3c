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
from simd cimport V
from tile_int8 cimport Tile, rounded, store_bytes

cdef extern from *:
    """
    #ifdef __AMX_INT8__
      #define TILE_LOAD(t, p, step) __asm__ volatile ("tileloadd (%0,%1,1), %%tmm" #t :: "r" (p), "r" (step) : "memory")
      #define TILE_STORE(t, p) __asm__ volatile ("tilestored %%tmm" #t ", (%0,%1,1)" :: "r" (p), "r" (64L) : "memory")
      #define TILE_DOT(c, a, b) __asm__ volatile ("tdpbusd %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::: )
      #define TILE_ZERO(t) __asm__ volatile ("tilezero %%tmm" #t ::: )
      AI void tiles_begin(int M) {
          struct { unsigned char palette, row, unused[14]; unsigned short bytes[16]; unsigned char rows[16]; } config = {.palette = 1};
          for (int t = 0; t < 8; t++) { config.bytes[t] = 64; config.rows[t] = t < 6 ? M : 16; }
          __asm__ volatile ("ldtilecfg %0" :: "m" (config));
      }
      AI void tiles_end(void) { __asm__ volatile ("tilerelease" ::: ); }
      /* C += A B for each of the segments; units and vectors are 1 or 2 */
      AI void tiles_sum(const int units, const int vectors, const unsigned char* a0, const unsigned char* a1, Py_ssize_t step,
                        const char* wei, Py_ssize_t wei_step, const int64_t* offset, Py_ssize_t segments, const char* ahead,
                        Py_ssize_t fetch) {
          TILE_ZERO(0);
          if (vectors > 1) TILE_ZERO(1);
          if (units > 1) TILE_ZERO(2);
          if (units > 1 && vectors > 1) TILE_ZERO(3);
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
      AI void tiles_begin(int M) {}
      AI void tiles_end(void) {}
      #define tiles_sum(...)
      #define tiles_store(...)
    #endif
    """
    void tiles_begin(int M) nogil
    void tiles_end() nogil
    void tiles_sum(const int units, const int vectors, const uint8_t* a0, const uint8_t* a1, Py_ssize_t step, const char* wei,
                   Py_ssize_t wei_step, const int64_t* offset, Py_ssize_t segments, const char* ahead, Py_ssize_t fetch) nogil
    void tiles_store(const int units, const int vectors, int* sums) nogil


# Where a unit's pixels lie.
cdef struct Unit:
    const uint8_t* src
    uint8_t* dst
    const uint8_t* add


# Round and store the sums of a unit of M pixels, of which `sums` has a tile for each of `vectors`, from vector j of the panel on.
cdef inline void store_unit(const int vectors, int M, int j, const Tile* t, const Unit* unit, const int* sums) noexcept nogil:
    cdef int i, k, next
    cdef uint8_t* dst = unit.dst + j * V
    cdef const uint8_t* add = unit.add + j * V
    cdef vi x[4]
    if vectors == 2:
        for i in range(0, M, 2):
            next = min(i + 1, M - 1)
            for k in range(4):
                x[k] = rounded(t, vload4(sums + k % 2 * 256 + (next if k > 1 else i) * V) + vload4(t.start + (j + k % 2) * V),
                               j + k % 2, add + (next if k > 1 else i) * t.add_w + k % 2 * V)
            store_bytes(2, dst + i * t.dst_w, dst + next * t.dst_w, NULL, NULL, x[0], x[1], x[2], x[3], t.zero, t.low, t.high)
    else:
        for i in range(M):
            x[0] = rounded(t, vload4(sums + i * V) + vload4(t.start + j * V), j, add + i * t.add_w)
            store_bytes(1, dst + i * t.dst_w, dst + i * t.dst_w, dst + i * t.dst_w, dst + i * t.dst_w, x[0], x[0], x[0], x[0],
                        t.zero, t.low, t.high)


# One or two units of M pixels, and `vectors` of a panel of J, from vector j on.
cdef inline void units_of(const int units, const int vectors, int M, int J, int j, const Tile* t, const Unit* unit,
                          const char* wei, const char* ahead) noexcept nogil:
    cdef int sums[1024]
    tiles_sum(units, vectors, unit[0].src, unit[units - 1].src, t.src_w, wei + j * 1024, J * 1024, t.offset, t.segments, ahead,
              t.fetch)
    tiles_store(units, vectors, sums)
    store_unit(vectors, M, j, t, &unit[0], sums)
    if units > 1:
        store_unit(vectors, M, j, t, &unit[1], sums + 512)
