# Threads that run the steps of a plan together: a barrier between steps, and pieces of a step that any thread may take.

cdef extern from *:
    """
    #include <sched.h>
    #ifdef _OPENMP
      #include <omp.h>
      #define OPENMP _OPENMP
    #else
      #define OPENMP 0
      #define omp_get_num_threads() 1
      #define omp_get_max_threads() 1
    #endif
    #if defined(__x86_64__)
      #define pause_spin() __builtin_ia32_pause()
    #else
      #define pause_spin() ((void)0)
    #endif
    """
    const int OPENMP  # the version's date, yyyymm; 0 in a serial build
    int omp_get_num_threads() nogil
    int omp_get_max_threads() nogil
    int sched_yield() nogil
    void pause_spin() nogil
    # GCC's atomics
    const int RELAXED "__ATOMIC_RELAXED"
    const int ACQUIRE "__ATOMIC_ACQUIRE"
    const int RELEASE "__ATOMIC_RELEASE"
    const int ACQ_REL "__ATOMIC_ACQ_REL"
    Py_ssize_t load "__atomic_load_n"(const Py_ssize_t* p, int order) nogil
    void store "__atomic_store_n"(Py_ssize_t* p, Py_ssize_t value, int order) nogil
    void store_double "__atomic_store"(double* p, double* value, int order) nogil
    Py_ssize_t fetch_add "__atomic_fetch_add"(Py_ssize_t* p, Py_ssize_t value, int order) nogil

cdef enum:
    SPINS = 4000  # longer than most steps take
    LINE = 128  # bytes that no two threads should write to: two cache lines, as x86 fetches them in pairs


# Where all threads of a team wait for each other. OpenMP's own barrier spins on: if programs share the cores, it uses up the time
# slice that the last thread needs to arrive.
cdef struct Barrier:
    Py_ssize_t waiting  # threads that have arrived
    Py_ssize_t turn  # how often all threads have met
    Py_ssize_t stop  # 1 + the step in which the team stops; 0: it does not


cdef inline void wait(Barrier* b, Py_ssize_t threads) noexcept nogil:
    cdef Py_ssize_t turn = load(&b.turn, ACQUIRE)
    cdef int spins = 0
    if fetch_add(&b.waiting, 1, ACQ_REL) + 1 == threads:
        store(&b.waiting, 0, RELAXED)
        store(&b.turn, turn + 1, RELEASE)
        return
    while load(&b.turn, ACQUIRE) == turn:
        if spins < SPINS:
            spins += 1
            pause_spin()
        else:
            sched_yield()


# Stop the team in a step: no thread takes a further piece. If its threads meet after each step, all stop after the same one: the
# caller must not have met the others after this step. A flag without the step would be seen too early by a thread that has yet to
# leave the barrier before.
cdef inline void stop_in(Barrier* b, Py_ssize_t step) noexcept nogil:
    store(&b.stop, step + 1, RELAXED)


cdef inline bint stops_in(const Barrier* b, Py_ssize_t step) noexcept nogil:
    return load(&b.stop, RELAXED) == step + 1


# For threads that do not meet.
cdef inline bint stops(const Barrier* b) noexcept nogil:
    return load(&b.stop, RELAXED) != 0


cdef struct Taken:
    Py_ssize_t count  # of one thread's pieces, those taken by any thread; more if some looked in vain
    char apart[LINE - 8]


# The pieces of a step, as one thread takes them: its own first, then those that others have left.
cdef struct Pieces:
    Taken* taken  # a count for each thread of the team
    Py_ssize_t each  # pieces that belong to each thread
    Py_ssize_t thread
    Py_ssize_t threads
    Py_ssize_t empty  # threads, from this one on, that have none left


# The next piece to run, of each * threads; -1 if none is left, or if the team stops. A thread that waits at the barrier has found
# none.
cdef inline Py_ssize_t next_piece(Pieces* p, const Barrier* b) noexcept nogil:
    cdef Py_ssize_t owner, piece
    while p.empty < p.threads and not (p.empty and load(&b.waiting, RELAXED)) and not stops(b):
        owner = (p.thread + p.empty) % p.threads
        piece = fetch_add(&p.taken[owner].count, 1, RELAXED)
        if piece < p.each:
            return owner * p.each + piece
        p.empty += 1
    return -1
