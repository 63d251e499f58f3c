"""Runs the steps of a plan in order, outside the GIL, on the threads of one parallel region.

All threads work on each step. An equal number of its pieces belongs to each thread, and a thread that has none left takes those of
others: cores are not equally fast if they differ or other programs use them. The threads meet after each step. Thread 0 runs a
step without pieces whole. A batch can be run image by image instead: a thread takes an image and runs all steps for it, alone.

The main thread looks for signals after each piece, so a long step has pieces even if one thread runs it.

After a network has run, the caches hold nothing of Python: few objects are touched on the way into the parallel region.
"""

import os
import threading

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc
from cpython.pythread cimport PyThread_get_thread_ident
from cython.parallel cimport parallel, threadid
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from step cimport Run
from team cimport end_team_at_fork, next_team
from thread_state cimport ThreadState, enter, leave
from threads cimport (LINE, OPENMP, RELAXED, Barrier, Pieces, Taken, next_piece, omp_get_max_threads, omp_get_num_threads,
                      stop_in, stops, stops_in, store_double, wait)

cdef double SIGNAL_SECONDS = 0.05  # between two looks for signals

openmp = OPENMP

if end_team_at_fork():
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
    return omp_get_max_threads()


cdef struct Step:
    Run run
    char* args
    Py_ssize_t pieces  # that belong to each thread; 0: thread 0 runs the step whole
    Py_ssize_t alone  # pieces if one thread runs the step


# The state that the threads of one call share.
cdef struct Team:
    const Step* steps
    Py_ssize_t count  # of steps
    bint flush_denormals
    double* stamps  # NULL or count + 1: the seconds at which each step began and the last one ended
    bint main  # thread 0 is the main thread of the interpreter, which handles signals
    double looked  # the seconds at which it last looked for them
    void* raised  # a list: what their handlers have raised
    Taken* taken  # two for each thread: while a step counts in one half, the other half is reset for the next step
    char apart[LINE]  # threads read the fields above while they write to the barrier
    Barrier barrier


cdef inline double now() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return t.tv_sec + 1e-9 * t.tv_nsec


# Stamp the time at a place that other threads stamp too: the last one stays.
cdef inline void stamp(double* place) noexcept nogil:
    cdef double seconds = now()
    store_double(place, &seconds, RELAXED)


# Run the handlers of the signals that have come, as the interpreter does between its instructions. True if one has raised.
cdef bint handle_signals(Team* team) noexcept with gil:
    try:
        PyErr_CheckSignals()
    except BaseException as e:
        (<list> team.raised).append(e)
        return True
    return False


# Stop the team in this step if the handler of a signal raises. For thread 0; handlers run in the thread's own state.
cdef void look_for_signals(Team* team, Py_ssize_t step, ThreadState own) noexcept nogil:
    if not team.main or now() < team.looked + SIGNAL_SECONDS:
        return
    leave(own)
    if handle_signals(team):
        stop_in(&team.barrier, step)
    enter(team.flush_denormals)
    team.looked = now()


# Whether the threads meet after a step. Between two whole steps they need not: thread 0 runs both. After the last step they meet
# at the end of the parallel region, but its time must not end before.
cdef inline bint meet_after(const Team* team, Py_ssize_t step) noexcept nogil:
    if step + 1 == team.count:
        return team.stamps != NULL
    return team.steps[step].pieces != 0 or team.steps[step + 1].pieces != 0


# Run all steps, each with all threads of the team.
cdef void run_together(Team* team, char** bases, Py_ssize_t thread, Py_ssize_t threads) noexcept nogil:
    cdef Py_ssize_t i, piece
    cdef Pieces pieces
    cdef Taken* taken = team.taken
    cdef Taken* other = taken + threads
    cdef const Step* s
    cdef ThreadState own = enter(team.flush_denormals)
    if team.stamps != NULL and thread == 0:
        team.stamps[0] = now()
    for i in range(team.count):
        s = &team.steps[i]
        if s.pieces:
            other[thread].count = 0
            pieces = Pieces(taken, s.pieces, thread, threads, 0)
            while True:
                piece = next_piece(&pieces, &team.barrier)
                if piece < 0:
                    break
                s.run(s.args, bases, piece, threads * s.pieces, thread)
                if thread == 0:
                    look_for_signals(team, i, own)
            taken, other = other, taken
        elif thread == 0:
            s.run(s.args, bases, 0, 1, 0)
            if meet_after(team, i):
                look_for_signals(team, i, own)
        # of threads that meet, the last one to write is the last to end the step: any may be late, or have none of its pieces
        if team.stamps != NULL and (thread == 0 or meet_after(team, i)):
            stamp(&team.stamps[i + 1])
        if meet_after(team, i):
            wait(&team.barrier, threads)
            if stops_in(&team.barrier, i):
                break
    leave(own)


# Run all steps on this thread.
cdef void run_alone(Team* team, char** bases, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t i, piece
    cdef const Step* s
    cdef ThreadState own = enter(team.flush_denormals)
    for i in range(team.count):
        s = &team.steps[i]
        if team.stamps != NULL:
            team.stamps[i] = now()
        for piece in range(s.alone):
            if stops(&team.barrier):
                break
            s.run(s.args, bases, piece, s.alone, 0)
            if thread == 0:
                look_for_signals(team, i, own)
    leave(own)
    if team.stamps != NULL:
        team.stamps[team.count] = now()


# Run all steps for each image that this thread takes; its addresses are own[thread], which end in those of the image.
cdef void run_images(Team* team, size_t[:, ::1] own, const size_t[:, ::1] images, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t threads = own.shape[0], width = images.shape[1], image
    cdef Pieces pieces = [team.taken, images.shape[0] // threads, thread, threads, 0]
    while True:
        image = next_piece(&pieces, &team.barrier)
        if image < 0:
            break
        memcpy(&own[thread, own.shape[1] - width], &images[image, 0], width * sizeof(size_t))
        run_alone(team, <char**> &own[thread, 0], thread)


# The address of an array's memory, 0 for None; BufferError if the memory is not contiguous.
cdef char* address(array) except? NULL:
    cdef Py_buffer view
    if array is None:
        return NULL
    PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)
    PyBuffer_Release(&view)
    return <char*> view.buf


cdef class Program:
    """Steps that any number of callers may run at once: each is (address of the run function, bytes of its arguments, pieces that
    belong to each thread, or 0 if thread 0 runs the step whole, pieces if one thread runs the step alone)."""

    cdef Step* steps
    cdef Py_ssize_t count
    cdef bint shared
    cdef bint flush_denormals
    cdef list keep

    def __cinit__(self, list steps, bint flush_denormals=False):
        cdef Py_ssize_t i
        cdef bytes args
        self.keep = []
        self.flush_denormals = flush_denormals
        self.count = len(steps)
        self.shared = any(pieces for _, _, pieces, _ in steps)
        self.steps = <Step*> PyMem_Malloc(max(self.count, 1) * sizeof(Step))
        if self.steps == NULL:
            raise MemoryError
        for i in range(self.count):
            run, args, pieces, alone = steps[i]
            # the bytes object's own storage (16-byte aligned) is the struct; `keep` holds it as long as the Program
            self.keep.append(args)
            self.steps[i].run = <Run> <size_t> run
            self.steps[i].args = args
            self.steps[i].pieces = pieces
            self.steps[i].alone = alone

    def __dealloc__(self):
        PyMem_Free(self.steps)

    def __len__(self):
        return self.count

    # A team that has yet to start; it borrows `raised`.
    cdef Team team(self, list raised):
        cdef Team team
        memset(&team, 0, sizeof(Team))
        team.steps = self.steps
        team.count = self.count
        team.flush_denormals = self.flush_denormals
        team.main = PyThread_get_thread_ident() == main_thread
        team.looked = now()
        team.raised = <void*> raised
        return team

    def run(self, tuple arrays, int threads, double[::1] stamps=None):
        """Run all steps. The addresses in their arguments count from those of the arrays (None: address 0). `stamps`, one longer
        than the steps, takes the seconds at which each step began and the last ended. In the main thread, an exception from the
        handler of a signal (as KeyboardInterrupt) ends the run after the pieces that are running."""
        cdef list raised = []
        cdef Team team = self.team(raised)
        cdef Py_ssize_t i
        if stamps is not None:
            if stamps.shape[0] < self.count + 1:
                raise ValueError("stamps is too short")
            team.stamps = &stamps[0]
        cdef char** bases = <char**> PyMem_Malloc((len(arrays) + 1) * sizeof(char*))
        team.taken = <Taken*> PyMem_Calloc(2 * threads, sizeof(Taken))
        try:
            if bases == NULL or team.taken == NULL:
                raise MemoryError
            for i in range(len(arrays)):
                bases[i] = address(arrays[i])
            threads = next_team(threads) if self.shared and OPENMP != 0 else 1
            if threads == 1:
                with nogil:
                    run_alone(&team, bases, 0)
            else:
                with nogil, parallel(num_threads=threads):
                    run_together(&team, bases, threadid(), omp_get_num_threads())
        finally:
            PyMem_Free(bases)
            PyMem_Free(team.taken)
        if raised:
            raise raised[0]

    def run_each(self, size_t[:, ::1] own, const size_t[:, ::1] images):
        """Run all steps for each image, on one thread. The addresses own[thread] end in those of images[i]. An equal
        number of images belongs to each thread, and the threads do not wait for each other. Signals as in `run`: every thread
        ends after the piece that it is running."""
        cdef int threads = next_team(<int> own.shape[0])
        cdef list raised = []
        cdef Team team = self.team(raised)
        team.taken = <Taken*> PyMem_Calloc(own.shape[0], sizeof(Taken))
        if team.taken == NULL:
            raise MemoryError
        with nogil, parallel(num_threads=threads):
            run_images(&team, own, images, threadid())
        PyMem_Free(team.taken)
        if raised:
            raise raised[0]
