/* ringspool -- what the commands of ringspool share. Each returns the program's exit status. */
#pragma once

#include "base/bytes.h"
#include "base/options.h"
#include "spool/spool_archive.h"

#include <stdbool.h>
#include <stdint.h>

#define RINGSPOOL_UNSET UINT64_MAX

struct ringspool {
    bool is_json;
    bool is_all;
    bool is_follow;
    bool is_relayed;
    const char *target;        /* of export; NULL: not given   */
    const char *faults;        /* of audit; NULL: not given    */
    const char *csv;           /* of audit; NULL: not given    */
    struct option_list clocks; /* of audit                     */
    uint64_t keep_bytes;       /* RINGSPOOL_UNSET: not given */
    uint64_t older_ns;         /* RINGSPOOL_UNSET: not given */
    const char *spool;         /* the first operand          */
    char *const *operands;     /* those after it             */
    int operand_count;
};

int ringspool_list(const struct ringspool *program);
int ringspool_cat(const struct ringspool *program);
int ringspool_verify(const struct ringspool *program);
int ringspool_trim(const struct ringspool *program);
int ringspool_export(const struct ringspool *program);
int ringspool_audit(const struct ringspool *program);

/* Exits with one line and EXIT_CODE_NO_SPOOL if `error`, of opening the spool, is not 0. */
void ringspool_require(const struct ringspool *program, int error);

/* Pages that could not be read since the start: what was in them was taken as zero. */
uint32_t ringspool_fault_count(void);

/* A line on stderr for long work, if that is a terminal. */
struct ringspool_progress {
    const char *what;
    uint64_t shown_ns;
    bool is_on;
};

void ringspool_progress_start(struct ringspool_progress *progress, const char *what);
void ringspool_progress_show(struct ringspool_progress *progress, uint64_t done, uint64_t total);
void ringspool_progress_end(struct ringspool_progress *progress);

/* All of these write to stdout. */
void ringspool_put_time(uint64_t realtime_ns);
void ringspool_put_escaped(struct bytes text);
void ringspool_put_json(struct bytes text); /* with its quotes; not UTF-8 becomes U+FFFD */
void ringspool_put_id(const struct spool_id *id);

/* "w00/0000000001.seg" */
#define RINGSPOOL_SEGMENT_TEXT_MAX 40
const char *ringspool_segment_text(char *out, uint32_t worker, uint64_t number);
