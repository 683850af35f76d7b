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
    XXH3_state_t hash; /* of the octets, the domain in lower case */
};

/* Where the domain begins; a quoted "@" is the local part's. The size if there is no domain. */
static uint64_t domain_find(struct bytes recipient)
{
    for (uint64_t i = recipient.size; i > 0; i--) {
        if (recipient.data[i - 1] == '@') return i;
        if (recipient.data[i - 1] == '"') break;
    }
    return recipient.size;
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

uint32_t export_path_encode(char *out, struct bytes recipient)
{
    struct writing writing = {.out = out};
    uint64_t domain = domain_find(recipient);

    CHECK(XXH3_128bits_reset(&writing.hash) == XXH_OK);
    for (uint64_t i = 0; i < recipient.size; i++) {
        uint8_t octet = recipient.data[i];
        bool is_upper = octet >= 'A' && octet <= 'Z';
        octet_put(&writing, i >= domain && is_upper ? octet | 0x20 : octet);
    }
    if (writing.is_long) cut_put(&writing);
    if (writing.size == 0) out[writing.size++] = '%';
    CHECK(writing.size <= EXPORT_PATH_SIZE_MAX);
    out[writing.size] = 0;
    return writing.size;
}
