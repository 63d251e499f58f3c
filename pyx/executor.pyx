"""Runs the steps of a plan, one after the other, on every thread of one parallel region and outside the GIL.

All threads run every step: each has so many pieces of it, and takes pieces of the others' when it has none left, as cores that are
shared with other programs, or of different kinds, are not equally fast. A barrier stands between two steps. A step of no pieces is
run whole by thread 0. Or the pieces are images that have nothing to do with each other: a thread runs all steps on one, alone.
A Program may flush denormals: its steps then take and give zero in their place, as many CPUs are far slower with them.

After a network has run, nothing of Python is in the caches: the way into the parallel region touches few objects.
"""

import os
import threading

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc
from cpython.pythread cimport PyThread_get_thread_ident
from cython.parallel cimport parallel, threadid
from libc.string cimport memcpy

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
       the cores are shared, OpenMP's own barrier would spin out the time slice that the thread waited for needs.
       `stop` is 1 + the step behind whose barrier all of them stop, as thread 0 says before it comes there. */
    typedef struct { int waiting; int turn; Py_ssize_t stop; } Barrier;
    static inline void stop_behind(Barrier* b, Py_ssize_t step) { __atomic_store_n(&b->stop, step + 1, __ATOMIC_RELAXED); }
    static inline int stops_behind(Barrier* b, Py_ssize_t step) { return __atomic_load_n(&b->stop, __ATOMIC_RELAXED) == step + 1; }
    static inline int stops(Barrier* b) { return __atomic_load_n(&b->stop, __ATOMIC_RELAXED) != 0; }
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
    static inline int some_wait(Barrier* b) { return __atomic_load_n(&b->waiting, __ATOMIC_RELAXED) != 0; }

    /* How many of a thread's pieces were taken, on cache lines of its own. */
    typedef struct { Py_ssize_t taken; char apart[128 - sizeof(Py_ssize_t)]; } Taken;
    static inline Py_ssize_t take(Taken* t) { return __atomic_fetch_add(&t->taken, 1, __ATOMIC_RELAXED); }
    static inline void reset(Taken* t) { __atomic_store_n(&t->taken, 0, __ATOMIC_RELAXED); }
    static inline int team(void) { return TEAM(); }
    static inline int max_threads(void) { return MAX_THREADS(); }

    /* The floating point mode of the calling thread, which `flush` returns as it was before. */
    #if defined(__SSE2__)
      #include <immintrin.h>
      typedef unsigned int Mode;
      static inline void set_mode(Mode m) { _mm_setcsr(m); }
      static inline Mode flush(int yes) { Mode m = _mm_getcsr(); if (yes) set_mode(m | 0x8040); return m; } /* FTZ and DAZ */
    #elif defined(__aarch64__)
      typedef unsigned long Mode;
      static inline void set_mode(Mode m) { __asm__ volatile ("msr fpcr, %0" : : "r" (m)); }
      static inline Mode flush(int yes) {
          Mode m;
          __asm__ volatile ("mrs %0, fpcr" : "=r" (m));
          if (yes) set_mode(m | 1ul << 24); /* FZ */
          return m;
      }
    #else
      typedef int Mode;
      static inline void set_mode(Mode m) { (void)m; }
      static inline Mode flush(int yes) { return yes; }
    #endif
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
        Py_ssize_t stop
    ctypedef struct Taken:
        pass
    ctypedef int Mode
    void stop_behind(Barrier* b, Py_ssize_t step) nogil
    bint stops_behind(Barrier* b, Py_ssize_t step) nogil
    bint stops(Barrier* b) nogil
    void barrier(Barrier* b, int threads) nogil
    bint some_wait(Barrier* b) nogil
    Py_ssize_t take(Taken* t) nogil
    void reset(Taken* t) nogil
    void set_mode(Mode m) nogil
    Mode flush(bint yes) nogil
    int team() nogil
    int max_threads() nogil
    double now() nogil
    int had_team
    int survive_fork()

cdef double LOOK_SECONDS = 0.05  # how often a run looks for signals

openmp = OPENMP

if survive_fork():
    raise MemoryError

cdef unsigned long main_thread


def _note_main_thread():
    global main_thread
    main_thread = threading.main_thread().ident


_note_main_thread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_main_thread)


def openmp_max_threads():
    """Threads that OpenMP itself would use now (OMP_NUM_THREADS, threadpoolctl); 1 in a build without OpenMP."""
    return max_threads()


cdef struct Step:
    Run run
    char* args
    Py_ssize_t pieces  # of each thread


# What one call knows of signals: the list that takes what a handler raises, and when they were looked for.
cdef struct Signals:
    void* raised
    double looked


# Run the handlers of signals that came, as the interpreter does between its instructions. Whether one raised.
cdef bint handle_signals(Signals* signals) noexcept with gil:
    try:
        PyErr_CheckSignals()
    except BaseException as e:
        (<list> signals.raised).append(e)
        return True
    return False


# The next of this thread's pieces, or of those that others have left; -1 if there is none. `done` counts the threads, from this one
# on, that have none left. Who waits at the barrier has seen that nobody has.
cdef inline Py_ssize_t next_piece(Py_ssize_t pieces, Py_ssize_t thread, Py_ssize_t threads, Barrier* meet, Taken* taken,
                                  Py_ssize_t* done) noexcept nogil:
    cdef Py_ssize_t owner, piece
    while done[0] < threads and not (done[0] and some_wait(meet)):
        owner = (thread + done[0]) % threads
        piece = take(&taken[owner])
        if piece < pieces:
            return owner * pieces + piece
        done[0] += 1
    return -1


# `signals` is NULL where they do not matter; only thread 0 looks. `taken` has two counts for each thread, for steps in turn: while
# one is in use, the other begins anew.
cdef void work(const Step* steps, Py_ssize_t count, char** bases, Py_ssize_t thread, Py_ssize_t threads, Barrier* meet,
               Taken* taken, bint flushed, double* stamps, Signals* signals) noexcept nogil:
    cdef Py_ssize_t i, piece, done, turn = 0
    cdef bint meets
    cdef const Step* s
    cdef Mode mode = flush(flushed)
    for i in range(count):
        s = &steps[i]
        if stamps != NULL and thread == 0:
            stamps[i] = now()
        if s.pieces and threads > 1:
            reset(&taken[(1 - turn) * threads + thread])
            done = 0
            while True:
                piece = next_piece(s.pieces, thread, threads, meet, taken + turn * threads, &done)
                if piece < 0:
                    break
                s.run(s.args, bases, piece, threads * s.pieces, thread)
            turn = 1 - turn
        elif thread == 0:
            s.run(s.args, bases, 0, 1, 0)
        # two whole steps both run on thread 0, and the last is followed by the end of the region (its time is not over before)
        meets = threads > 1 and (bool(s.pieces or steps[i + 1].pieces) if i + 1 < count else stamps != NULL)
        if signals != NULL and thread == 0 and (meets or threads == 1) and now() > signals.looked + LOOK_SECONDS:
            set_mode(mode)
            if handle_signals(signals):
                stop_behind(meet, i)
            flush(flushed)
            signals.looked = now()
        if meets:
            barrier(meet, <int> threads)
        if stops_behind(meet, i):
            break
    set_mode(mode)
    if stamps != NULL and thread == 0:
        stamps[count] = now()


# Where an array's memory begins, or 0 for None; BufferError where it has gaps.
cdef char* address(array) except? NULL:
    cdef Py_buffer view
    if array is None:
        return NULL
    PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)
    PyBuffer_Release(&view)
    return <char*> view.buf


cdef class Program:
    """Steps as (address of the run function, bytes of its arguments, pieces for each thread, or 0 for a step that thread 0 runs
    whole); immutable, run by any number of callers at once."""

    cdef Step* steps
    cdef Py_ssize_t count
    cdef bint shared
    cdef bint flushed
    cdef list keep

    def __cinit__(self, list steps, bint flush_denormals=False):
        cdef Py_ssize_t i
        cdef bytes args
        self.keep = []
        self.flushed = flush_denormals
        self.count = len(steps)
        self.shared = any(pieces for _, _, pieces in steps)
        self.steps = <Step*> PyMem_Malloc(max(self.count, 1) * sizeof(Step))
        if self.steps == NULL:
            raise MemoryError
        for i in range(self.count):
            run, args, pieces = steps[i]
            # the bytes object's own storage (16-byte aligned) is the struct; `keep` holds it as long as the Program
            self.keep.append(args)
            self.steps[i].run = <Run> <size_t> run
            self.steps[i].args = args
            self.steps[i].pieces = pieces

    def __dealloc__(self):
        PyMem_Free(self.steps)

    def __len__(self):
        return self.count

    def run(self, tuple arrays, int threads, double[::1] stamps=None):
        """Run all steps on the arrays whose addresses references count from (None is address 0). `stamps`, one longer than the
        steps, takes the seconds at which each step began and the last ended. In the main thread, what the handler of a signal
        raises (as KeyboardInterrupt) ends the run after the step that is running."""
        global had_team
        cdef Barrier meet = [0, 0, 0]
        cdef list raised = []
        cdef Signals looks = [<void*> raised, now()]
        cdef Signals* signals = &looks if PyThread_get_thread_ident() == main_thread else NULL
        cdef double* times = NULL if stamps is None else &stamps[0]
        cdef Py_ssize_t i
        if stamps is not None and stamps.shape[0] < self.count + 1:
            raise ValueError("stamps is too short")
        cdef char** bases = <char**> PyMem_Malloc((len(arrays) + 1) * sizeof(char*))
        cdef Taken* taken = <Taken*> PyMem_Calloc(2 * threads, sizeof(Taken))
        try:
            if bases == NULL or taken == NULL:
                raise MemoryError
            for i in range(len(arrays)):
                bases[i] = address(arrays[i])
            if threads == 1 or not self.shared or OPENMP == 0:
                with nogil:
                    work(self.steps, self.count, bases, 0, 1, &meet, taken, self.flushed, times, signals)
            else:
                had_team = 1
                with nogil, parallel(num_threads=threads):
                    work(self.steps, self.count, bases, threadid(), team(), &meet, taken, self.flushed, times, signals)
        finally:
            PyMem_Free(bases)
            PyMem_Free(taken)
        if raised:
            raise raised[0]

    def run_each(self, size_t[:, ::1] own, const size_t[:, ::1] images):
        """Run all steps for each of the images, on one thread. The addresses own[thread] end in those of images[i]; there are as
        many images for each thread, but the threads do not wait for each other. Signals as in `run`: the others end with the step
        that the main thread ended with."""
        global had_team
        cdef int threads = <int> own.shape[0], thread
        cdef Py_ssize_t width = images.shape[1], pieces = images.shape[0] // threads, i, done
        cdef Barrier meet = [0, 0, 0]
        cdef list raised = []
        cdef Signals looks = [<void*> raised, now()]
        cdef Signals* signals = &looks if PyThread_get_thread_ident() == main_thread else NULL
        cdef Taken* taken = <Taken*> PyMem_Calloc(threads, sizeof(Taken))
        if taken == NULL:
            raise MemoryError
        had_team |= threads > 1
        with nogil, parallel(num_threads=threads):
            thread = threadid()
            done = 0
            while not stops(&meet):
                i = next_piece(pieces, thread, threads, &meet, taken, &done)
                if i < 0:
                    break
                memcpy(&own[thread, own.shape[1] - width], &images[i, 0], width * sizeof(size_t))
                work(self.steps, self.count, <char**> &own[thread, 0], 0, 1, &meet, NULL, self.flushed, NULL,
                     signals if thread == 0 else NULL)
        PyMem_Free(taken)
        if raised:
            raise raised[0]
