"""Runs the steps of a plan, one after the other, on every thread of one parallel region and outside the GIL.

All threads run every step, each its share; a barrier stands between two steps. A step marked serial is run whole by thread 0.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cython.parallel cimport parallel, threadid

from step cimport Run

cdef extern from *:
    """
    #include <sched.h>
    #include <time.h>
    #ifdef _OPENMP
      #include <omp.h>
      #define TEAM() omp_get_num_threads()
      #define MAX_THREADS() omp_get_max_threads()
      #define OPENMP _OPENMP
    #else
      #define TEAM() 1
      #define MAX_THREADS() 1
      #define OPENMP 0
    #endif

    /* All threads of a call wait here for each other. They spin while that takes no longer than a step, then let others run: where
       the cores are shared, OpenMP's own barrier would spin out the time slice that the thread waited for needs. */
    typedef struct { int waiting; int turn; } Barrier;
    static inline void barrier(Barrier* b, int threads) {
        int turn = __atomic_load_n(&b->turn, __ATOMIC_ACQUIRE);
        if (__atomic_add_fetch(&b->waiting, 1, __ATOMIC_ACQ_REL) == threads) {
            __atomic_store_n(&b->waiting, 0, __ATOMIC_RELAXED);
            __atomic_store_n(&b->turn, turn + 1, __ATOMIC_RELEASE);
            return;
        }
        for (int spins = 0; __atomic_load_n(&b->turn, __ATOMIC_ACQUIRE) == turn; spins++) {
            if (spins > 4000) sched_yield();
            #if defined(__x86_64__)
            else __builtin_ia32_pause();
            #endif
        }
    }
    static inline int team(void) { return TEAM(); }
    static inline int max_threads(void) { return MAX_THREADS(); }
    static inline double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + 1e-9 * t.tv_nsec; }

    /* A forked child has no threads but the one that forked, and GNU's OpenMP would wait for the others forever. So that thread
       gives its team up before it forks; parent and child make new ones when they need them. (LLVM's OpenMP does so itself.) */
    static volatile int had_team;
    #if defined(_OPENMP) && !defined(__clang__) && __GNUC__ >= 9
      #include <pthread.h>
      #pragma weak omp_pause_resource_all /* the OpenMP that is loaded may be older than the one built with */
      static void before_fork(void) {
          if (had_team && omp_pause_resource_all && !omp_in_parallel()) omp_pause_resource_all(omp_pause_hard);
      }
      static int survive_fork(void) { return pthread_atfork(before_fork, NULL, NULL); }
    #else
      static int survive_fork(void) { return 0; }
    #endif
    """
    const int OPENMP
    ctypedef struct Barrier:
        int waiting
        int turn
    void barrier(Barrier* b, int threads) nogil
    int team() nogil
    int max_threads() nogil
    double now() nogil
    int had_team
    int survive_fork()

openmp = OPENMP

if survive_fork():
    raise MemoryError


def openmp_max_threads():
    """Threads that OpenMP itself would use now (OMP_NUM_THREADS, threadpoolctl); 1 in a build without OpenMP."""
    return max_threads()


cdef struct Step:
    Run run
    char* args
    bint serial


cdef void work(const Step* steps, Py_ssize_t count, char** bases, Py_ssize_t thread, Py_ssize_t threads, Barrier* meet,
               double* stamps) noexcept nogil:
    cdef Py_ssize_t i
    cdef const Step* s
    for i in range(count):
        s = &steps[i]
        if stamps != NULL and thread == 0:
            stamps[i] = now()
        if not s.serial:
            s.run(s.args, bases, thread, threads)
        elif thread == 0:
            s.run(s.args, bases, 0, 1)
        # two serial steps both run on thread 0, and the last is followed by the end of the region (its time is not over before)
        if threads > 1 and (not (s.serial and steps[i + 1].serial) if i + 1 < count else stamps != NULL):
            barrier(meet, <int> threads)
    if stamps != NULL and thread == 0:
        stamps[count] = now()


cdef class Program:
    """Steps as (address of the run function, bytes of its arguments, serial); immutable, run by any number of callers at once."""

    cdef Step* steps
    cdef Py_ssize_t count
    cdef bint shared
    cdef list keep

    def __cinit__(self, list steps):
        cdef Py_ssize_t i
        cdef bytes args
        self.keep = []
        self.count = len(steps)
        self.shared = any(not serial for _, _, serial in steps)
        self.steps = <Step*> PyMem_Malloc(max(self.count, 1) * sizeof(Step))
        if self.steps == NULL:
            raise MemoryError
        for i in range(self.count):
            run, args, serial = steps[i]
            # the bytes object's own storage (16-byte aligned) is the struct; `keep` holds it as long as the Program
            self.keep.append(args)
            self.steps[i].run = <Run> <size_t> run
            self.steps[i].args = args
            self.steps[i].serial = serial

    def __dealloc__(self):
        PyMem_Free(self.steps)

    def __len__(self):
        return self.count

    def run(self, const size_t[::1] bases, int threads, double[::1] stamps=None):
        """Run all steps. `bases` are the addresses that references count from; `stamps`, one longer than the steps, takes
        the seconds at which each step began and the last ended."""
        global had_team
        cdef char** table = <char**> &bases[0]
        cdef Barrier meet = [0, 0]
        cdef double* times = NULL if stamps is None else &stamps[0]
        if stamps is not None and stamps.shape[0] < self.count + 1:
            raise ValueError("stamps is too short")
        if threads == 1 or not self.shared or OPENMP == 0:
            with nogil:
                work(self.steps, self.count, table, 0, 1, &meet, times)
        else:
            had_team = 1
            with nogil, parallel(num_threads=threads):
                work(self.steps, self.count, table, threadid(), team(), &meet, times)
