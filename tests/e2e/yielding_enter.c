/*
 * A library to preload where valgrind runs a server: it lets other threads run before each wait.
 * Valgrind keeps its lock while a thread is in io_uring_enter, which it does not know to block, so
 * the other threads of the process would starve.
 */
#include <errno.h>
#include <liburing.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Instead of liburing's. */
int io_uring_enter2(unsigned ring, unsigned submitted, unsigned wanted, unsigned flags,
                    sigset_t *argument, size_t size)
{
    (void)sched_yield();
    long result = syscall(SYS_io_uring_enter, ring, submitted, wanted, flags, argument, size);
    return result < 0 ? -errno : (int)result;
}
