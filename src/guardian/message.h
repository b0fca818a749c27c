/* message.h - the bytes between supervisor and guardian; for holder.c and mail.c.
 *
 * A message is up to MESSAGE_OPS of these, with one descriptor for each PUT in
 * their order; or a single one with bytes behind it (SETTLE, NOTIFY).  Both ends
 * are the same program (an upgrade makes the new guardian start a new supervisor),
 * so there is no version in it. */
#pragma once

#include <stdint.h>

#define MESSAGE_OPS 250 /* the kernel takes 253 descriptors */
#define MESSAGE_BYTES 8192
#define MESSAGE_GROUPS 1024

enum message_kind {
    /* supervisor to guardian */
    MESSAGE_PUT = 1, /* value: name */
    MESSAGE_DROP,
    MESSAGE_FORGET, /* number: pid; value: tag */
    MESSAGE_HELLO,
    MESSAGE_BEAT, /* number: milliseconds until the next at the latest; 0: none follows */
    MESSAGE_BYE,  /* number: exit status; value: 1 when the manager is to keep what it stores */
    MESSAGE_BACKGROUND,
    MESSAGE_UPGRADE, /* a descriptor: the program that we are to become */
    MESSAGE_SETTLE,  /* struct message_settle behind it */
    MESSAGE_NOTIFY,  /* text behind it */
    /* a child on its way to exec to guardian */
    MESSAGE_BORN, /* value: tag; its pid is the kernel's word */
    /* guardian to supervisor */
    MESSAGE_ENDED,  /* struct roll_child behind it */
    MESSAGE_ANSWER, /* number: wait status of the program that was asked */
    MESSAGE_REFUSED /* value: name */
};

struct message_op {
    uint32_t kind;
    int32_t number;
    uint64_t value;
};

struct message_settle {
    uint64_t nofile_soft, nofile_hard;
    uint32_t uid, gid, n_groups;
    uint32_t groups[MESSAGE_GROUPS]; /* only so many as there are are sent */
};
