/*
 * capture -- what a piece of code writes to a descriptor, and how it ends.
 *
 * capture_begin() puts a temporary file behind the descriptor until capture_end(), which returns
 * what was written, NUL-terminated. capture_child() runs a function in a child process and reports
 * the wait status, with its stderr captured.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAPTURE_MAX 16384

struct capture {
    FILE *file;
    int descriptor;
    int original;
    char text[CAPTURE_MAX];
};

static inline void capture_begin(struct capture *capture, int descriptor)
{
    fflush(NULL);
    capture->file = tmpfile();
    capture->descriptor = descriptor;
    capture->original = dup(descriptor);
    if (capture->file == NULL || dup2(fileno(capture->file), descriptor) < 0) abort();
}

static inline const char *capture_end(struct capture *capture)
{
    fflush(NULL);
    if (dup2(capture->original, capture->descriptor) < 0) abort();
    close(capture->original);
    rewind(capture->file);
    size_t size = fread(capture->text, 1, sizeof(capture->text) - 1, capture->file);
    capture->text[size] = 0;
    fclose(capture->file);
    return capture->text;
}

static inline int capture_child(struct capture *capture, void (*function)(void))
{
    int status = 0;

    capture_begin(capture, STDERR_FILENO);
    pid_t child = fork();
    if (child < 0) abort();
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        function();
        _exit(0);
    }
    if (waitpid(child, &status, 0) != child) abort();
    capture_end(capture);
    return status;
}
