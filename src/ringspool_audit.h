/* ringspool_audit -- what the files of ringspool audit share. */
#pragma once

#include "audit/audit.h"
#include "audit/audit_relay.h"
#include "ringspool.h"

#include <stdio.h>

/* What is told, and how the program will end. */
struct ringspool_audit {
    const struct audit *audit;
    const struct audit_report *report;
    const struct audit_relay *relay; /* NULL: not relayed */
    int status;
};

/* One of them, to stdout. */
void ringspool_audit_put_text(const struct ringspool_audit *told);
void ringspool_audit_put_json(const struct ringspool_audit *told);

/* A few messages at fault, to stderr: where to begin to look. */
void ringspool_audit_put_examples(const struct audit *audit);

/* Files that are opened before the spool is read; NULL if they are not asked for. */
FILE *ringspool_audit_file_open(const char *path);
void ringspool_audit_put_faults(FILE *file, const char *path, const struct audit *audit);
void ringspool_audit_put_csv(FILE *file, const char *path, const struct audit *audit,
                             const struct audit_relay *relay);
