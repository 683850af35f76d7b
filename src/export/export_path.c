#include "export/export_path.h"

/* The state stands on the stack. */
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#define HASH_DIGITS   32
#define CUT_MARK_SIZE 2 /* "%~", which nothing else is encoded as */
#define CUT_SIZE_MAX  (EXPORT_PATH_SIZE_MAX - CUT_MARK_SIZE - HASH_DIGITS)
#define UNIT_SIZE_MAX 3

struct writing {
    char *out;
    uint32_t size;
    uint32_t cut_at; /* end of the last unit behind which mark and hash still fit */
    bool is_long;
    XXH3_state_t hash; /* of the octets that are encoded */
};

/* How a local part is written (RFC 5321 4.1.2). */
enum local_form {
    LOCAL_AS_IS,
    LOCAL_QUOTED,         /* a quoted string that has to be one                   */
    LOCAL_NEED_NO_QUOTES, /* one that stands for what could stand without quotes */
};

/* Up to the domain's "@"; a quoted one is the local part's. All of it if there is no domain. */
static uint64_t local_size(struct bytes recipient)
{
    for (uint64_t i = recipient.size; i > 0; i--) {
        if (recipient.data[i - 1] == '@') return i - 1;
        if (recipient.data[i - 1] == '"') break;
    }
    return recipient.size;
}

/* RFC 5321 4.1.2, and 6531 3.3 for what is not ASCII. */
static bool is_atext(uint8_t octet)
{
    if (octet >= 0x80 || (octet >= '0' && octet <= '9')) return true;
    if ((octet | 0x20) >= 'a' && (octet | 0x20) <= 'z') return true;
    return octet != 0 && strchr("!#$%&'*+-/=?^_`{|}~", octet) != NULL;
}

/* What a quoted string stands for: its quotes are taken off before. */
static uint8_t content_take(struct bytes *text)
{
    uint8_t octet = bytes_take(text, 1).data[0];
    return octet == '\\' && text->size > 0 ? bytes_take(text, 1).data[0] : octet;
}

static enum local_form local_judge(struct bytes text)
{
    bool is_dot_string = true;
    uint8_t before = '.';

    while (text.size > 0) {
        if (text.data[0] == '"' || (text.data[0] == '\\' && text.size == 1)) return LOCAL_AS_IS;
        uint8_t octet = content_take(&text);
        if (!is_atext(octet) && (octet != '.' || before == '.')) is_dot_string = false;
        before = octet;
    }
    return is_dot_string && before != '.' ? LOCAL_NEED_NO_QUOTES : LOCAL_QUOTED;
}

static bool is_kept(uint8_t octet, bool is_first)
{
    if ((octet >= 'a' && octet <= 'z') || (octet >= '0' && octet <= '9')) return true;
    if (octet == '@' || octet == '_' || octet == '+' || octet == '=') return true;
    return !is_first && (octet == '.' || octet == '-');
}

static uint32_t unit_put(char *unit, uint8_t octet, bool is_first)
{
    static const char digits[] = "0123456789ABCDEF";

    unit[0] = (char)octet;
    if (is_kept(octet, is_first)) return 1;
    unit[0] = '%';
    unit[1] = digits[octet >> 4];
    unit[2] = digits[octet & 15];
    return 3;
}

static void octet_put(struct writing *writing, uint8_t octet)
{
    char unit[UNIT_SIZE_MAX];

    CHECK(XXH3_128bits_update(&writing->hash, &octet, 1) == XXH_OK);
    if (writing->is_long) return;
    uint32_t size = unit_put(unit, octet, writing->size == 0);
    writing->is_long = writing->size + size > EXPORT_PATH_SIZE_MAX;
    if (writing->is_long) return;
    memcpy(writing->out + writing->size, unit, size);
    writing->size += size;
    if (writing->size <= CUT_SIZE_MAX) writing->cut_at = writing->size;
}

static void cut_put(struct writing *writing)
{
    XXH128_hash_t hash = XXH3_128bits_digest(&writing->hash);
    uint8_t *end = (uint8_t *)writing->out + writing->cut_at;

    memcpy(end, "%~", CUT_MARK_SIZE);
    bytes_put_hex(end + CUT_MARK_SIZE, hash.high64);
    bytes_put_hex(end + CUT_MARK_SIZE + HASH_DIGITS / 2, hash.low64);
    writing->size = writing->cut_at + CUT_MARK_SIZE + HASH_DIGITS;
}

/* With the quotes and backslashes that it needs, and no others. */
static void local_put(struct writing *writing, struct bytes local)
{
    bool is_quoted = local.size >= 2 && local.data[0] == '"' && local.data[local.size - 1] == '"';
    struct bytes text = is_quoted ? bytes_make(local.data + 1, local.size - 2) : local;
    enum local_form form = is_quoted ? local_judge(text) : LOCAL_AS_IS;

    if (form == LOCAL_AS_IS) {
        while (local.size > 0)
            octet_put(writing, bytes_take(&local, 1).data[0]);
        return;
    }
    if (form == LOCAL_QUOTED) octet_put(writing, '"');
    while (text.size > 0) {
        uint8_t octet = content_take(&text);
        if (octet == '"' || octet == '\\') octet_put(writing, '\\');
        octet_put(writing, octet);
    }
    if (form == LOCAL_QUOTED) octet_put(writing, '"');
}

static void domain_put(struct writing *writing, struct bytes domain)
{
    while (domain.size > 0) {
        uint8_t octet = bytes_take(&domain, 1).data[0];
        octet_put(writing, octet >= 'A' && octet <= 'Z' ? octet | 0x20 : octet);
    }
}

uint32_t export_path_encode(char *out, struct bytes recipient)
{
    struct writing writing = {.out = out};

    CHECK(XXH3_128bits_reset(&writing.hash) == XXH_OK);
    struct bytes local = bytes_take(&recipient, local_size(recipient));
    local_put(&writing, local);
    domain_put(&writing, recipient);
    if (writing.is_long) cut_put(&writing);
    if (writing.size == 0) out[writing.size++] = '%';
    CHECK(writing.size <= EXPORT_PATH_SIZE_MAX);
    out[writing.size] = 0;
    return writing.size;
}
