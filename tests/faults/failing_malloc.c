/* To be preloaded: the n-th allocation fails, of those since `fail_at`. For glibc.
 *
 * Counts malloc, calloc, realloc, posix_memalign, aligned_alloc and anonymous mmap of all threads. The C library's own stacks of
 * threads are mapped inside of it and are not seen. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LARGE = 1 << 14 }; /* bytes of blocks that `large_bytes` counts */

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static long left, lasts, seen, large;

/* The n-th allocation from now on fails, and all after it if `lasting`; 0 ends the counting. */
void fail_at(long n, long lasting) {
    lasts = lasting;
    if (n) seen = 0;
    __atomic_store_n(&left, n, __ATOMIC_SEQ_CST);
}

/* Allocations since `fail_at`, until its 0. */
long allocations(void) { return seen; }

/* Bytes of the large blocks that are in use. */
long large_bytes(void) { return __atomic_load_n(&large, __ATOMIC_SEQ_CST); }

/* OpenMP ends the process if an allocation of its own fails, so none does. */
static int fails(const void *caller) {
    long n = __atomic_load_n(&left, __ATOMIC_SEQ_CST);
    Dl_info library;
    if (!n || (dladdr(caller, &library) && strstr(library.dli_fname, "gomp"))) return 0;
    long i = __atomic_add_fetch(&seen, 1, __ATOMIC_SEQ_CST);
    if (i != n && !(lasts && i > n)) return 0;
    errno = ENOMEM;
    return 1;
}

static void *count(void *p) {
    size_t n = malloc_usable_size(p);
    if (n >= LARGE) __atomic_add_fetch(&large, n, __ATOMIC_SEQ_CST);
    return p;
}

void free(void *p) {
    size_t n = malloc_usable_size(p);
    if (n >= LARGE) __atomic_sub_fetch(&large, n, __ATOMIC_SEQ_CST);
    __libc_free(p);
}

void *malloc(size_t n) { return fails(__builtin_return_address(0)) ? NULL : count(__libc_malloc(n)); }

void *calloc(size_t n, size_t size) { return fails(__builtin_return_address(0)) ? NULL : count(__libc_calloc(n, size)); }

void *realloc(void *p, size_t n) {
    if (fails(__builtin_return_address(0))) return NULL;
    size_t before = malloc_usable_size(p);
    void *q = __libc_realloc(p, n);
    if (!q && n) return NULL;
    if (before >= LARGE) __atomic_sub_fetch(&large, before, __ATOMIC_SEQ_CST);
    return count(q);
}

void *aligned_alloc(size_t align, size_t n) { return fails(__builtin_return_address(0)) ? NULL : count(__libc_memalign(align, n)); }

int posix_memalign(void **p, size_t align, size_t n) {
    void *q = aligned_alloc(align, n);
    if (!q) return ENOMEM;
    *p = q;
    return 0;
}

void *mmap(void *at, size_t n, int prot, int flags, int file, off_t offset) {
    if ((flags & MAP_ANONYMOUS) && fails(__builtin_return_address(0))) return MAP_FAILED;
    void *p = (void *)syscall(SYS_mmap, at, n, prot, flags, file, offset);
    if (p != MAP_FAILED) __atomic_add_fetch(&large, n, __ATOMIC_SEQ_CST);
    return p;
}

int munmap(void *p, size_t n) {
    int error = (int)syscall(SYS_munmap, p, n);
    if (!error) __atomic_sub_fetch(&large, n, __ATOMIC_SEQ_CST);
    return error;
}
