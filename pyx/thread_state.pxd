# The state that a thread's registers must have while it runs steps: `enter` sets it and returns the state before, which `leave`
# restores. The state is the floating-point mode: rounding to nearest and no traps, whatever the caller has, as the bits must not
# depend on the thread; and whether denormals are read and written as zeros: many CPUs are far slower with them.

cdef extern from *:
    """
    #if defined(__SSE2__)
      #include <immintrin.h>
      typedef unsigned int ThreadState;
      static inline void leave(ThreadState before) { _mm_setcsr(before); }
      static inline ThreadState enter(int flush_denormals) {
          ThreadState before = _mm_getcsr();
          _mm_setcsr(flush_denormals ? 0x1f80 | 0x8040 : 0x1f80); /* all exceptions masked; FTZ and DAZ */
          return before;
      }
    #elif defined(__aarch64__)
      typedef unsigned long ThreadState;
      static inline void leave(ThreadState before) { __asm__ volatile ("msr fpcr, %0" : : "r" (before)); }
      static inline ThreadState enter(int flush_denormals) {
          ThreadState before;
          __asm__ volatile ("mrs %0, fpcr" : "=r" (before));
          __asm__ volatile ("msr fpcr, %0" : : "r" ((unsigned long)(flush_denormals != 0) << 24)); /* FZ */
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
