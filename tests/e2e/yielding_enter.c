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
int io_uring_enter2(unsigned fd, unsigned to_submit, unsigned min_complete, unsigned flags,
                    sigset_t *sig, size_t sz)
{
    (void)sched_yield();
    long result = syscall(SYS_io_uring_enter, fd, to_submit, min_complete, flags, sig, sz);
    return result < 0 ? -errno : (int)result;
}
