#include "server/credentials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A file with these octets; its name is static. */
static const char *written(struct bytes octets)
{
    static char path[32];
    (void)snprintf(path, sizeof path, "/tmp/credentials-XXXXXX");
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, octets.data, octets.size), octets.size);
    close(file);
    return path;
}

static void assert_entry(const struct credentials *credentials, uint32_t index, const char *user,
                         const char *password)
{
    assert_true(index < credentials->count);
    assert_true(bytes_equal(credentials->entries[index].user, bytes_from_text(user)));
    assert_true(bytes_equal(credentials->entries[index].password, bytes_from_text(password)));
}

static void lines_are_read(void **state)
{
    struct credentials credentials = {0};
    const char *path = written(BYTES("# users\n\nbob:builder\r\n#x:y\nal ice:a:b: c \n\xc3\xbc:#"));
    (void)state;
    credentials_load(&credentials, path);
    unlink(path);
    assert_int_equal(credentials.count, 3);
    assert_entry(&credentials, 0, "bob", "builder");
    assert_entry(&credentials, 1, "al ice", "a:b: c ");
    assert_entry(&credentials, 2, "\xc3\xbc", "#");
    credentials_close(&credentials);
    assert_null(credentials.entries);
    assert_null(credentials.text);
    credentials_close(&credentials);
}

/* What a child says when it loads these octets; it must end with exit status 2. */
static void assert_refused(struct bytes octets, char *said, size_t capacity)
{
    const char *path = written(octets);
    int ends[2];
    int status = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        struct credentials credentials = {0};
        dup2(ends[1], STDERR_FILENO);
        credentials_load(&credentials, path);
        credentials_close(&credentials);
        _exit(0);
    }
    close(ends[1]);
    ssize_t size = read(ends[0], said, capacity - 1);
    assert_true(size > 0);
    said[size] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 2);
    assert_non_null(strstr(said, path));
    unlink(path);
}

static void what_is_wrong_is_told_by_its_line(void **state)
{
    const struct {
        struct bytes octets;
        const char *line;
    } cases[] = {
        {BYTES("secret\n"), "line 1"},         {BYTES("a:b\n\n#\nsecret\na:b\n"), "line 4"},
        {BYTES(":secret\n"), "line 1"},        {BYTES("secret:\n"), "line 1"},
        {BYTES("a:b\nsecret:\r\n"), "line 2"}, {BYTES("a:sec\0secret\n"), "line 1"},
        {BYTES("# only\n"), "nobody"},         {BYTES("\n"), "nobody"},
    };
    char said[1024];
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_refused(cases[i].octets, said, sizeof said);
        assert_non_null(strstr(said, cases[i].line));
        assert_null(strstr(said, "secret"));
    }
}

static void there_are_bounds(void **state)
{
    static uint8_t large[CREDENTIALS_FILE_MAX + 1];
    struct credentials credentials = {0};
    char said[1024];
    (void)state;
    memset(large, '#', sizeof large);
    memcpy(large, "a:b\n", 4);
    const char *path = written(bytes_make(large, CREDENTIALS_FILE_MAX));
    credentials_load(&credentials, path);
    unlink(path);
    assert_int_equal(credentials.count, 1);
    credentials_close(&credentials);
    assert_refused(bytes_make(large, sizeof large), said, sizeof said);
    assert_non_null(strstr(said, "too large"));
    for (uint64_t i = 0; i < CREDENTIALS_MAX + 1; i++)
        memcpy(large + 4 * i, "a:b\n", 4);
    assert_refused(bytes_make(large, 4 * (CREDENTIALS_MAX + 1)), said, sizeof said);
    assert_non_null(strstr(said, "line 10001"));
    path = written(bytes_make(large, 4 * CREDENTIALS_MAX));
    credentials_load(&credentials, path);
    unlink(path);
    assert_int_equal(credentials.count, CREDENTIALS_MAX);
    credentials_close(&credentials);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read),
        cmocka_unit_test(what_is_wrong_is_told_by_its_line),
        cmocka_unit_test(there_are_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
