#include "ring/ring_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define OLDEST_KERNEL 6001

/* The first bytes of a small file as text, "" if it can't be read. */
static void read_text(const char *path, char *out, size_t capacity)
{
    out[0] = '\0';
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    ssize_t size = read(file, out, capacity - 1);
    out[size > 0 ? size : 0] = '\0';
    close(file);
}

uint32_t ring_probe_kernel(void)
{
    struct utsname name;
    unsigned major = 0;
    unsigned minor = 0;
    if (uname(&name) != 0) return 0;
    char *end = NULL;
    major = (unsigned)strtoul(name.release, &end, 10);
    if (end != NULL && *end == '.') minor = (unsigned)strtoul(end + 1, NULL, 10);
    return major * 1000 + minor;
}

/* kernel.io_uring_disabled: 0 allowed, 1 members of a group only, 2 nobody; 0 where it does not
 * exist. */
static long disabled_setting(void)
{
    char text[32];
    read_text("/proc/sys/kernel/io_uring_disabled", text, sizeof text);
    return strtol(text, NULL, 10);
}

static bool has_seccomp_filter(void)
{
    char text[4096];
    read_text("/proc/self/status", text, sizeof text);
    const char *line = strstr(text, "\nSeccomp:");
    return line != NULL && strtol(line + strlen("\nSeccomp:"), NULL, 10) != 0;
}

static const char *explain_refusal(int error)
{
    if (disabled_setting() > 0)
        return "kernel.io_uring_disabled forbids it; allow it with: sysctl -w "
               "kernel.io_uring_disabled=0";
    if (has_seccomp_filter())
        return "a seccomp filter blocks it, as container engines do by default; in Docker run with "
               "--security-opt seccomp=PROFILE, a profile that allows io_uring_setup, "
               "io_uring_enter and io_uring_register";
    if (error == -ENOSYS)
        return "this kernel or sandbox has no io_uring; run on Linux 6.1 or newer, not under "
               "gVisor";
    return "the kernel refuses it to this user; look for a security module's denial in the kernel "
           "log";
}

const char *ring_probe_explain(char *out, int error)
{
    const char *cause = NULL;
    if (error == -EPERM || error == -ENOSYS || error == -EACCES)
        cause = explain_refusal(error);
    else if (error == -ENOMEM)
        cause = "no memory may be locked for it; raise the limit with: ulimit -l unlimited";
    else if (error == -EMFILE || error == -ENFILE)
        cause = "no file descriptor is left; raise the limit with: ulimit -n 65536";
    else if (ring_probe_kernel() < OLDEST_KERNEL)
        cause = "this kernel is too old; run on Linux 6.1 or newer";
    else
        cause = "the kernel does not know what is asked of it";
    (void)snprintf(out, RING_PROBE_TEXT_MAX, "io_uring is refused here (%s): %s", strerror(-error),
                   cause);
    return out;
}

const char *ring_probe_features(char *out)
{
    struct utsname name;
    if (uname(&name) != 0) (void)snprintf(name.release, sizeof name.release, "unknown");
    (void)snprintf(out, RING_PROBE_TEXT_MAX,
                   "Linux %s, io_uring: multishot accept and receive, provided buffers (plain)",
                   name.release);
    return out;
}
