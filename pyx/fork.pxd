# Lets a process fork that has a team of OpenMP threads.
#
# The child has only the thread that forked, and GNU's OpenMP would wait forever for the other threads of the team. So the forking
# thread ends its team first; parent and child start new ones when they need them. LLVM's OpenMP does this itself.

cdef extern from *:
    """
    static volatile int had_team;
    static void note_team(void) { had_team = 1; }
    #if defined(_OPENMP) && !defined(__clang__) && __GNUC__ >= 9
      #include <omp.h>
      #include <pthread.h>
      #pragma weak omp_pause_resource_all /* the OpenMP that is loaded may be older than the one built with */
      static void end_team(void) {
          if (had_team && omp_pause_resource_all && !omp_in_parallel()) omp_pause_resource_all(omp_pause_hard);
      }
      static int end_team_at_fork(void) { return pthread_atfork(end_team, NULL, NULL); }
    #else
      static int end_team_at_fork(void) { return 0; }
    #endif
    """
    void note_team()  # to be called before a team starts
    int end_team_at_fork()  # not 0: out of memory
