/* exit_codes -- what the programs' exit statuses mean (README, "Exit codes"). */
#pragma once

enum exit_code {
    EXIT_CODE_OK = 0,
    EXIT_CODE_FAILED = 1,       /* failed at run time                        */
    EXIT_CODE_USAGE = 2,        /* wrong option or value; nothing was done   */
    EXIT_CODE_UNPROVABLE = 3,   /* ringspool audit: recycling took the proof */
    EXIT_CODE_NO_RING = 69,     /* io_uring refused                          */
    EXIT_CODE_NO_SPOOL = 73,    /* the spool can't be made or read           */
    EXIT_CODE_SYNC_FAILED = 74, /* a sync failed: durability is gone         */
    EXIT_CODE_IN_USE = 75,      /* address, spool or folder in use           */
    EXIT_CODE_INVALID = 98,     /* loadgen --strict: the verdict is INVALID  */
    EXIT_CODE_THRESHOLD = 99,   /* loadgen: a --threshold was not reached    */
};
