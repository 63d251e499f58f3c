# The state that a thread's registers must have while it runs steps: `enter` sets it and returns the state before, which `leave`
# restores. The state is whether denormals are read and written as zeros: many CPUs are far slower with them.

cdef extern from *:
    """
    #if defined(__SSE2__)
      #include <immintrin.h>
      typedef unsigned int ThreadState;
      static inline void leave(ThreadState before) { _mm_setcsr(before); }
      static inline ThreadState enter(int flush_denormals) {
          ThreadState before = _mm_getcsr();
          if (flush_denormals) _mm_setcsr(before | 0x8040); /* FTZ and DAZ */
          return before;
      }
    #elif defined(__aarch64__)
      typedef unsigned long ThreadState;
      static inline void leave(ThreadState before) { __asm__ volatile ("msr fpcr, %0" : : "r" (before)); }
      static inline ThreadState enter(int flush_denormals) {
          ThreadState before;
          __asm__ volatile ("mrs %0, fpcr" : "=r" (before));
          if (flush_denormals) __asm__ volatile ("msr fpcr, %0" : : "r" (before | 1ul << 24)); /* FZ */
          return before;
      }
    #else
      typedef int ThreadState;
      static inline void leave(ThreadState before) { (void)before; }
      static inline ThreadState enter(int flush_denormals) { return flush_denormals; }
    #endif
    """
    ctypedef int ThreadState
    ThreadState enter(bint flush_denormals) nogil
    void leave(ThreadState before) nogil
