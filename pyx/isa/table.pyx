"""A function of bytes by the table of its 256 values.

src and dst have strides along six axes, of which the last is contiguous.
Parallel over items of `rows` x `chunk` elements of the last two axes.
"""

from libc.stdint cimport int64_t, uint8_t

from axes cimport Item, item_at, item_count, place
from constants cimport AXES
from step cimport at, share

cdef extern from *:
    """
    /* AVX-512 picks 16 bits of 64 in each lane: the table is four registers of 32 pairs of bytes. The pairs of the even and of the
       odd bytes are picked apart, in twice two steps. */
    #if defined(__AVX512BW__) && !defined(LOWERED)
      #include <immintrin.h>
      #define LANES 64
      typedef struct { __m512i part[4]; } Table;
      static inline Table read_table(const void* p) {
          Table t;
          for (int i = 0; i < 4; i++) t.part[i] = _mm512_loadu_si512((const char*)p + 64 * i);
          return t;
      }
      /* the pairs that hold the values of the lowest byte of each 16 bits */
      static inline __m512i pairs_of(Table t, __m512i x) {
          __m512i i = _mm512_srli_epi16(x, 1);
          __m512i low = _mm512_permutex2var_epi16(t.part[0], i, t.part[1]), high = _mm512_permutex2var_epi16(t.part[2], i, t.part[3]);
          return _mm512_mask_blend_epi16(_mm512_test_epi16_mask(x, _mm512_set1_epi16(128)), low, high);
      }
      static inline void look_up(Table t, const void* src, void* dst) {
          __m512i x = _mm512_loadu_si512(src), one = _mm512_set1_epi16(1);
          __m512i odd = _mm512_srli_epi16(x, 8), even = _mm512_and_si512(x, _mm512_set1_epi16(255));
          __m512i right = _mm512_slli_epi16(_mm512_and_si512(even, one), 3), left = _mm512_slli_epi16(_mm512_andnot_si512(odd, one), 3);
          __m512i y = _mm512_srlv_epi16(pairs_of(t, even), right), z = _mm512_sllv_epi16(pairs_of(t, odd), left);
          _mm512_storeu_si512(dst, _mm512_mask_blend_epi8(0xaaaaaaaaaaaaaaaa, y, z));
      }
    #else
      #define LANES 8
      typedef struct { const unsigned char* p; } Table;
      static inline Table read_table(const void* p) { Table t = {(const unsigned char*)p}; return t; }
      static inline void look_up(Table t, const void* src, void* dst) {
          unsigned char x[8];
          __builtin_memcpy(x, src, 8);
          for (int i = 0; i < 8; i++) x[i] = t.p[x[i]];
          __builtin_memcpy(dst, x, 8);
      }
    #endif
    """
    ctypedef struct Table:
        pass
    enum: LANES
    Table read_table(const void* p) nogil
    void look_up(Table t, const void* src, void* dst) nogil

cdef struct Args:
    int64_t src
    int64_t dst
    int64_t table
    Py_ssize_t rows  # of an item
    Py_ssize_t chunk  # elements of each row of an item
    Py_ssize_t dims[AXES]
    Py_ssize_t src_strides[AXES]
    Py_ssize_t dst_strides[AXES]


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t items = item_count(a.dims, a.rows, a.chunk), index, i
    cdef const uint8_t* values = <const uint8_t*> at(bases, a.table)
    cdef const uint8_t* src
    cdef uint8_t* dst
    cdef Table table = read_table(values)
    cdef Item item
    for index in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        item = item_at(a.dims, a.rows, a.chunk, index)
        src = <const uint8_t*> at(bases, a.src) + place(&item, a.src_strides)
        dst = <uint8_t*> at(bases, a.dst) + place(&item, a.dst_strides)
        for _ in range(item.rows):
            i = 0
            while i + LANES <= item.chunk:
                look_up(table, src + i, dst + i)
                i += LANES
            while i < item.chunk:
                dst[i] = values[src[i]]
                i += 1
            src += a.src_strides[AXES - 2]
            dst += a.dst_strides[AXES - 2]


include "step.pxi"
