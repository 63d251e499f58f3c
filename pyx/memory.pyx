"""The memory of NumPy's arrays, counted and bounded: an allocator (NEP 49) for a part of a program.

The allocator takes memory from the one that was set before, and has the size of each block before it. An array keeps the allocator
that made it, so the account lives until the last array is freed.
"""

from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from cpython.ref cimport Py_INCREF, Py_XDECREF, PyObject
from libc.stdint cimport uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport strcpy
from threads cimport RELAXED, fetch_add, load, store

from numpy._core._multiarray_umath import _ARRAY_API

cdef extern from "Python.h":
    const Py_ssize_t MOST "PY_SSIZE_T_MAX"

cdef enum:
    HEAD = 64  # bytes before a block, which keep its alignment
    # the function's place in the table of NumPy's C interface, whose places stay: so no headers of NumPy are needed
    SET_HANDLER = 304

cdef const char* HANDLER = "mem_handler"  # the capsule's name

# NumPy's PyDataMemAllocator and PyDataMem_Handler
cdef struct Allocator:
    void* ctx
    void* (*malloc)(void* ctx, size_t size) noexcept
    void* (*calloc)(void* ctx, size_t count, size_t size) noexcept
    void* (*realloc)(void* ctx, void* block, size_t size) noexcept
    void (*free)(void* ctx, void* block, size_t size) noexcept

cdef struct Handler:
    char name[127]
    uint8_t version
    Allocator allocator

cdef struct Account:
    Handler handler
    Allocator* below  # the allocator that memory is taken from
    PyObject* keep  # the capsule that it is in
    PyObject* meter  # to be asked for a higher limit; NULL once its block has ended
    Py_ssize_t limit
    Py_ssize_t used
    bint refused

ctypedef object (*SetHandler)(object handler)
cdef SetHandler set_handler = <SetHandler>(<void**>PyCapsule_GetPointer(_ARRAY_API, NULL))[SET_HANDLER]


cdef class Meter:
    """Bounds the bytes of all arrays that NumPy makes in a `with` block and that live: beyond, NumPy raises MemoryError.

    At `first` bytes `limit` is called, which returns the limit. Only for this thread, and for one block.
    """

    cdef object limit
    cdef object capsule
    cdef object outer
    cdef Account* account

    def __cinit__(self, Py_ssize_t first, limit):
        cdef Account* a = <Account*>calloc(1, sizeof(Account))
        if a == NULL:
            raise MemoryError
        self.limit = limit
        self.account = a
        self.capsule = PyCapsule_New(a, HANDLER, close)
        strcpy(a.handler.name, "fastconv")
        a.handler.version = 1
        a.handler.allocator = Allocator(a, take, take_zeroed, resize, give)
        a.limit = first

    def __enter__(self):
        cdef Account* a = self.account
        self.outer = set_handler(self.capsule)
        Py_INCREF(self.outer)
        a.keep = <PyObject*>self.outer
        a.below = &(<Handler*>PyCapsule_GetPointer(self.outer, HANDLER)).allocator
        a.meter = <PyObject*>self
        return self

    def __exit__(self, kind, error, trace):
        set_handler(self.outer)
        self.account.meter = NULL
        self.account.limit = MOST

    @property
    def refused(self):
        """Whether an array was refused."""
        return self.account.refused

    cdef void ask(self) noexcept:
        """Ask for the limit, once."""
        if self.limit is not None:
            limit, self.limit = self.limit, None
            store(&self.account.limit, min(limit(), MOST), RELAXED)


cdef bint fits(Account* a, size_t size) noexcept:
    """Whether there is room for a block, which then counts as used."""
    cdef Py_ssize_t used
    if size < <size_t>(MOST // 2):
        used = fetch_add(&a.used, <Py_ssize_t>size, RELAXED) + <Py_ssize_t>size
        if used <= load(&a.limit, RELAXED):
            return True
        if a.meter != NULL:
            (<Meter>a.meter).ask()
            if used <= load(&a.limit, RELAXED):
                return True
        fetch_add(&a.used, -<Py_ssize_t>size, RELAXED)
    a.refused = True
    return False


cdef inline void* begin(char* block, size_t size) noexcept:
    """Note the block's size in the bytes before it."""
    if block == NULL:
        return NULL
    (<size_t*>block)[0] = size
    return block + HEAD


cdef void* take(void* ctx, size_t size) noexcept:
    cdef Account* a = <Account*>ctx
    return begin(<char*>a.below.malloc(a.below.ctx, size + HEAD), size) if fits(a, size) else NULL


cdef void* take_zeroed(void* ctx, size_t count, size_t size) noexcept:
    cdef Account* a = <Account*>ctx
    if size and count > <size_t>(MOST // 2) // size:
        return NULL
    size *= count
    return begin(<char*>a.below.calloc(a.below.ctx, 1, size + HEAD), size) if fits(a, size) else NULL


cdef void* resize(void* ctx, void* block, size_t size) noexcept:
    cdef Account* a = <Account*>ctx
    cdef size_t before
    cdef char* moved
    if block == NULL:
        return take(ctx, size)
    before = (<size_t*>(<char*>block - HEAD))[0]
    if not fits(a, size):
        return NULL
    moved = <char*>a.below.realloc(a.below.ctx, <char*>block - HEAD, size + HEAD)
    fetch_add(&a.used, -<Py_ssize_t>(size if moved == NULL else before), RELAXED)
    return begin(moved, size)


cdef void give(void* ctx, void* block, size_t size) noexcept:
    cdef Account* a = <Account*>ctx
    if block == NULL:
        return
    size = (<size_t*>(<char*>block - HEAD))[0]
    fetch_add(&a.used, -<Py_ssize_t>size, RELAXED)
    a.below.free(a.below.ctx, <char*>block - HEAD, size + HEAD)


cdef void close(object capsule) noexcept:
    cdef Account* a = <Account*>PyCapsule_GetPointer(capsule, HANDLER)
    Py_XDECREF(a.keep)
    free(a)
