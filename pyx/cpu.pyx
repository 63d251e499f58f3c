"""The vector instructions that this CPU and its operating system can run."""

cdef extern from *:
    """
    #if defined(__x86_64__) || defined(__i386__)
      #include <cpuid.h>
      #ifdef __linux__
        #include <sys/syscall.h>
        #include <unistd.h>
      #endif
    #elif defined(__aarch64__) && defined(__linux__)
      #include <sys/auxv.h>
    #elif defined(__aarch64__) && defined(__APPLE__)
      #include <sys/sysctl.h>
    #endif
    #define MOST 16

    /* Store the names of the features that can be used, at most MOST, and return how many there are. */
    static int find_features(const char** names) {
        int n = 0;
        #if defined(__x86_64__) || defined(__i386__)
          /* The compiler's runtime reads cpuid, and from XCR0 whether the operating system saves the registers. */
          #define FIND(name) if (__builtin_cpu_supports(name)) names[n++] = name;
          __builtin_cpu_init();
          FIND("avx2") FIND("fma")
          FIND("avx512f") FIND("avx512vl") FIND("avx512bw") FIND("avx512dq") FIND("avx512vnni") FIND("avx512bf16")
          /* Clang 14 does not know these by name: leaf 1, ECX, bit 29, and leaf 7.1, EAX, bit 4. They have the registers of avx2. */
          unsigned a, b, c, d;
          if (__builtin_cpu_supports("avx2") && __get_cpuid(1, &a, &b, &c, &d) && (c >> 29 & 1)) names[n++] = "f16c";
          if (__builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1)) names[n++] = "avxvnni";
          #ifdef __linux__
            /* AMX: leaf 7, EDX, bits 24 and 25. Linux lets a process use the tiles' registers, 8 KB that it saves for each thread
               that does, when it asks: arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA). */
            if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 24 & 3) == 3 && !syscall(SYS_arch_prctl, 0x1023, 18))
                names[n++] = "amx-int8";
          #endif
        #elif defined(__aarch64__) && defined(__linux__)
          if (getauxval(AT_HWCAP) & 1 << 20) names[n++] = "asimddp"; /* HWCAP_ASIMDDP, which old headers lack */
        #elif defined(__aarch64__) && defined(__APPLE__)
          int has = 0;
          size_t size = sizeof(has);
          if (!sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, NULL, 0) && has) names[n++] = "asimddp";
        #endif
        return n;
    }
    """
    enum: MOST
    int find_features(const char** names)


cdef _features():
    cdef const char* names[MOST]
    cdef int count = find_features(names)
    return frozenset([name.decode() for name in names[:count]])


#: Of the features that instruction sets ask for (fastconv/kernels/isas.py) those of this machine, by the names of GCC's
#: __builtin_cpu_supports on x86 and of Linux's /proc/cpuinfo on arm64.
FEATURES = _features()
