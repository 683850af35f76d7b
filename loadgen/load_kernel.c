#include "loadgen/load_kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 8192u
#define PATH_SIZE 256u

/* The number below `name` in a pair of lines: names, then numbers, both after `prefix`. */
static bool find_number(char *names, char *numbers, const char *name, uint64_t *number)
{
    char *rest_names;
    char *rest_numbers;
    const char *word = strtok_r(names, " \n", &rest_names);
    const char *value = strtok_r(numbers, " \n", &rest_numbers);

    while (word != NULL && value != NULL) {
        char *end;
        if (strcmp(word, name) == 0) {
            *number = strtoull(value, &end, 10);
            return *end == '\0';
        }
        word = strtok_r(NULL, " \n", &rest_names);
        value = strtok_r(NULL, " \n", &rest_numbers);
    }
    return false;
}

static bool read_number(const char *directory, const char *file_name, const char *prefix,
                        const char *name, uint64_t *number)
{
    char path[PATH_SIZE];
    char names[LINE_SIZE];
    char numbers[LINE_SIZE];
    bool is_found = false;

    (void)snprintf(path, sizeof path, "%s/%s", directory, file_name);
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    while (!is_found && fgets(names, sizeof names, file) != NULL &&
           fgets(numbers, sizeof numbers, file) != NULL) {
        if (strncmp(names, prefix, strlen(prefix)) != 0) continue;
        is_found = find_number(names, numbers, name, number);
    }
    (void)fclose(file);
    return is_found;
}

void load_kernel_read(struct load_kernel *kernel, const char *directory)
{
    *kernel = (struct load_kernel){0};
    kernel->is_known =
        read_number(directory, "snmp", "Tcp:", "OutSegs", &kernel->segments) &&
        read_number(directory, "snmp", "Tcp:", "RetransSegs", &kernel->retransmits) &&
        read_number(directory, "netstat", "TcpExt:", "ListenOverflows", &kernel->listen_overflows);
}

struct load_kernel load_kernel_since(const struct load_kernel *before,
                                     const struct load_kernel *after)
{
    return (struct load_kernel){
        .is_known = before->is_known && after->is_known,
        .segments = after->segments - before->segments,
        .retransmits = after->retransmits - before->retransmits,
        .listen_overflows = after->listen_overflows - before->listen_overflows,
    };
}
