"""What this CPU and operating system can run."""

cdef extern from *:
    """
    #if defined(__x86_64__) || defined(__i386__)
      /* the compiler's own runtime checks cpuid and, for the registers' state, the operating system (XCR0) */
      static int has_avx2(void) { __builtin_cpu_init(); return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
      static int has_avx512(void) { __builtin_cpu_init(); return has_avx2() && __builtin_cpu_supports("avx512f") &&
          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"); }
    #else
      static int has_avx2(void) { return 0; }
      static int has_avx512(void) { return 0; }
    #endif
    #if defined(__aarch64__)
      static int has_neon(void) { return 1; }
    #else
      static int has_neon(void) { return 0; }
    #endif
    """
    int has_avx2()
    int has_avx512()
    int has_neon()


def isas():
    """The instruction sets this machine can run, slowest first, by the names of setup.py's tables."""
    found = ["avx512-lowered", "neon-lowered", "neon" if has_neon() else "baseline"]
    if has_avx2():
        found.append("avx2")
    if has_avx512():
        found.append("avx512")
    return found
