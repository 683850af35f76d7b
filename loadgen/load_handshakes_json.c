#include "loadgen/load_handshakes_json.h"

#include "loadgen/load_config.h"

static json_t *make_count(uint64_t count)
{
    return json_integer((json_int_t)count);
}

static json_t *make_suites(const struct load_handshakes *handshakes)
{
    json_t *suites = json_array();
    for (uint32_t index = 0; index < handshakes->suite_count; index++) {
        const struct load_suite *suite = &handshakes->suites[index];
        (void)json_array_append_new(suites, json_pack("{s:s, s:s, s:I}", "version", suite->version,
                                                      "cipher", suite->cipher, "count",
                                                      (json_int_t)suite->count));
    }
    return suites;
}

json_t *load_handshakes_json_make(const struct load_result *result)
{
    const struct load_handshakes *handshakes = &result->tally.handshakes;

    if (result->config->tls == LOAD_TLS_OFF) return NULL;
    return json_pack("{s:o, s:o, s:o, s:o, s:f, s:f, s:o, s:o, s:o, s:o}", "full",
                     make_count(handshakes->full), "resumed", make_count(handshakes->resumed),
                     "full_in_time", make_count(handshakes->full_in_time), "resumed_in_time",
                     make_count(handshakes->resumed_in_time), "full_per_s",
                     load_result_per_s(result, handshakes->full_in_time), "resumed_per_s",
                     load_result_per_s(result, handshakes->resumed_in_time), "truncated",
                     make_count(handshakes->truncated), "suites", make_suites(handshakes),
                     "suites_beyond", make_count(handshakes->suites_beyond), "memory_max_bytes",
                     make_count(result->tls_memory_max));
}

static bool read_count(json_t *object, const char *name, uint64_t *count)
{
    const json_t *value = json_object_get(object, name);
    json_int_t number = json_integer_value(value);
    *count = number > 0 ? (uint64_t)number : 0;
    return json_is_integer(value) && number >= 0;
}

static bool read_suite(struct load_handshakes *handshakes, json_t *object)
{
    const char *version;
    const char *cipher;
    uint64_t count;

    if (json_unpack(object, "{s:s, s:s}", "version", &version, "cipher", &cipher) != 0)
        return false;
    if (!read_count(object, "count", &count)) return false;
    load_handshakes_add_suite(handshakes, version, cipher, count);
    return true;
}

bool load_handshakes_json_read(struct load_result *result, json_t *object)
{
    struct load_handshakes *handshakes = &result->tally.handshakes;
    const json_t *suites = json_object_get(object, "suites");
    json_t *item;
    size_t index;

    if (object == NULL || json_is_null(object)) return true;
    bool is_whole = read_count(object, "full", &handshakes->full) &&
                    read_count(object, "resumed", &handshakes->resumed) &&
                    read_count(object, "full_in_time", &handshakes->full_in_time) &&
                    read_count(object, "resumed_in_time", &handshakes->resumed_in_time) &&
                    read_count(object, "truncated", &handshakes->truncated) &&
                    read_count(object, "memory_max_bytes", &result->tls_memory_max);
    if (!is_whole || !json_is_array(suites)) return false;
    json_array_foreach(suites, index, item) if (!read_suite(handshakes, item)) return false;
    uint64_t beyond = 0;
    if (!read_count(object, "suites_beyond", &beyond)) return false;
    handshakes->suites_beyond += beyond;
    return true;
}
