/*
 * fuzz_replay -- runs one fuzzer over files, so that its seeds are regression tests in every build.
 *
 * usage: fuzz_NAME FOLDER|FILE...
 *
 * Each input is in memory of its own size, for ASan. A finding aborts; the file was named before.
 */
#include "fuzz/fuzz.h"

#include "base/check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define PATH_SIZE 4096

static void replay_file(const char *path)
{
    struct stat status;
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    CHECK(fstat(fileno(file), &status) == 0);
    size_t size = (size_t)status.st_size;
    uint8_t *data = malloc(size == 0 ? 1 : size);
    CHECK(data != NULL);
    CHECK(fread(data, 1, size, file) == size);
    fclose(file);
    printf("%s\n", path);
    fflush(stdout);
    CHECK(LLVMFuzzerTestOneInput(data, size) == 0);
    free(data);
}

/* Returns how many files there were. */
static uint32_t replay_folder(DIR *folder, const char *name)
{
    char path[PATH_SIZE];
    uint32_t count = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (entry->d_name[0] == '.') continue;
        int size = snprintf(path, sizeof path, "%s/%s", name, entry->d_name);
        CHECK(size > 0 && size < PATH_SIZE);
        replay_file(path);
        count++;
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    uint32_t count = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        if (folder != NULL) {
            count += replay_folder(folder, argv[i]);
        } else {
            replay_file(argv[i]);
            count++;
        }
    }
    printf("%u inputs\n", count);
    return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
