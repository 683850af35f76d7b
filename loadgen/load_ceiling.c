#include "loadgen/load_ceiling.h"

#include "version.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define KEY_MAX         512u
#define CONNECTIONS_MAX 64u
#define FILE_NAME       "calibration.json"
#define SUFFIX_MAX      16u

/* What connections that end and begin again cost; nothing where they last, as most do. */
static void describe_connections(const struct load_config *config, char *text)
{
    bool has_tls = config->tls != LOAD_TLS_OFF;

    text[0] = '\0';
    if (config->per_connection == LOAD_UNLIMITED) return;
    (void)snprintf(text, CONNECTIONS_MAX, ", -k %.20s%s%s", config->per_connection_text,
                   has_tls && config->tls_resumes ? ", resumed" : "",
                   has_tls && config->tls_verifies ? ", verified" : "");
}

/* What a worker's speed depends on. */
static void make_key(const struct load_config *config, char *key)
{
    struct utsname names = {0};
    char connections[CONNECTIONS_MAX];

    (void)uname(&names);
    describe_connections(config, connections);
    (void)snprintf(key, KEY_MAX, "%s %s on %s: %.100s octets, %.40s recipients, %s%s%s%s%s",
                   RINGSINK_VERSION, RINGSINK_COMMIT, names.nodename, config->length_text,
                   config->recipients_text,
                   load_pipelining_name((enum load_pipelining)config->pipelining),
                   config->is_lmtp ? ", lmtp" : "", config->credentials != NULL ? ", auth" : "",
                   config->tls != LOAD_TLS_OFF ? ", tls" : "", connections);
}

/* The directory alone, without the file. False: there is no home. */
static bool make_directory_name(char *path)
{
    const char *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    int size = 0;
    if (cache != NULL && cache[0] == '/')
        size = snprintf(path, LOAD_CEILING_PATH_MAX, "%s/ringsink", cache);
    else if (home != NULL && home[0] == '/')
        size = snprintf(path, LOAD_CEILING_PATH_MAX, "%s/.cache/ringsink", home);
    return size > 0 && (size_t)size < LOAD_CEILING_PATH_MAX - sizeof FILE_NAME - SUFFIX_MAX;
}

/* Each directory on the way is made if it is missing, the last one for the user alone. */
static int make_directories(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int error = mkdir(path, 0700);
        *slash = '/';
        if (error < 0 && errno != EEXIST) return -errno;
    }
    return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static json_t *load_all(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor < 0) return NULL;
    json_t *all = json_loadfd(descriptor, 0, NULL);
    (void)close(descriptor);
    if (json_is_object(all)) return all;
    json_decref(all);
    return NULL;
}

/* A new file takes the old one's place, so that nobody reads a half of it. */
static int store_all(const json_t *all, const char *path)
{
    char draft[LOAD_CEILING_PATH_MAX];
    (void)snprintf(draft, sizeof draft, "%s.%d", path, (int)getpid());
    int descriptor = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0) return -errno;
    int error = json_dumpfd(all, descriptor, JSON_INDENT(1)) < 0 ? -EIO : 0;
    if (close(descriptor) < 0 && error == 0) error = -errno;
    if (error == 0 && rename(draft, path) < 0) error = -errno;
    if (error < 0) (void)unlink(draft);
    return error;
}

int load_ceiling_store(const struct load_config *config, double per_worker, char *path)
{
    char key[KEY_MAX];

    path[0] = '\0';
    if (!make_directory_name(path)) return -ENOENT;
    int error = make_directories(path);
    if (error < 0) return error;
    strcat(path, "/" FILE_NAME);
    json_t *all = load_all(path);
    if (all == NULL) all = json_object();
    make_key(config, key);
    (void)json_object_set_new(all, key, json_real(per_worker));
    error = store_all(all, path);
    json_decref(all);
    return error;
}

double load_ceiling_find(const struct load_config *config)
{
    char path[LOAD_CEILING_PATH_MAX];
    char key[KEY_MAX];

    if (!make_directory_name(path)) return 0;
    strcat(path, "/" FILE_NAME);
    json_t *all = load_all(path);
    make_key(config, key);
    double per_worker = json_number_value(json_object_get(all, key));
    json_decref(all);
    return per_worker > 0 ? per_worker : 0;
}
