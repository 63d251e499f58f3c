# The team of OpenMP threads that a calling thread has: no larger than the system allows, and ended before a fork.
#
# OpenMP ends the process if it cannot start a thread, as a container's limit or RLIMIT_NPROC may have it. So before a team grows,
# as many threads are started as it will add, and the team has those that could be. That costs as much as starting the team, once:
# OpenMP keeps its threads for the caller's next runs. It ends some if the next run has fewer; that they can be started again is
# taken for granted until a limit has been met. Python starts them: a wheel that links pthread_create needs a glibc as new as the
# one that it was built with.
#
# A forked child has only the thread that forked, and GNU's OpenMP would wait forever for the other threads of the team. So the
# forking thread ends its team first; parent and child start new ones when they need them. LLVM's OpenMP does this itself.

cdef extern from *:
    """
    static __thread int last_team = 1, largest_team = 1; /* of this thread */
    static volatile int had_team, met_limit;
    #if defined(_OPENMP) && defined(__linux__)
      #include <pthread.h>
      #include <sched.h>
      #include <stdlib.h>
      #include <sys/syscall.h>
      #include <unistd.h>
      typedef struct { long id; int passed; pthread_mutex_t *gate; } Probe;
      static void wait_at_gate(void *given) {
          Probe *own = (Probe *)given;
          own->id = syscall(SYS_gettid);
          pthread_mutex_lock(own->gate);
          pthread_mutex_unlock(own->gate);
          __atomic_store_n(&own->passed, 1, __ATOMIC_RELEASE);
      }
      /* How many of `wanted` threads can run beside those that there are. */
      static int startable(int wanted) {
          pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
          Probe *probes = (Probe *)malloc(wanted * sizeof(Probe));
          int made = 0, i, turns;
          if (!probes) return 0;
          pthread_mutex_lock(&gate);
          for (; made < wanted; made++) {
              probes[made].passed = 0;
              probes[made].gate = &gate;
              if (PyThread_start_new_thread(wait_at_gate, &probes[made]) == (unsigned long)-1) break;
          }
          pthread_mutex_unlock(&gate);
          for (i = 0; i < made; i++) {
              while (!__atomic_load_n(&probes[i].passed, __ATOMIC_ACQUIRE)) sched_yield();
              /* the system counts a thread until it has removed it, shortly after its end */
              for (turns = 0; turns < 100000 && !syscall(SYS_tgkill, getpid(), probes[i].id, 0); turns++) sched_yield();
          }
          free(probes);
          return made;
      }
    #else
      static int startable(int wanted) { return wanted; }
    #endif
    static int next_team(int wanted) {
        int sure = met_limit ? last_team : largest_team, size = wanted;
        if (wanted <= 1) return wanted;
        if (wanted > sure) {
            size = sure + startable(wanted - sure);
            if (size < wanted) met_limit = 1;
        }
        last_team = size;
        if (size > largest_team) largest_team = size;
        had_team = 1;
        return size;
    }
    #if defined(_OPENMP) && !defined(__clang__) && __GNUC__ >= 9
      #include <omp.h>
      #include <pthread.h>
      #pragma weak omp_pause_resource_all /* the OpenMP that is loaded may be older than the one built with */
      static void end_team(void) {
          if (had_team && omp_pause_resource_all && !omp_in_parallel()) {
              omp_pause_resource_all(omp_pause_hard);
              last_team = largest_team = 1;
          }
      }
      static int end_team_at_fork(void) { return pthread_atfork(end_team, NULL, NULL); }
    #else
      static int end_team_at_fork(void) { return 0; }
    #endif
    """
    int next_team(int wanted)  # the threads that the team which starts next can have
    int end_team_at_fork()  # not 0: out of memory
