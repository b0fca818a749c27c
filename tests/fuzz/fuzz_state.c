/* fuzz_state.c - files of a daemon before us, with any bytes of them changed: what is
 * read holds together, what is written over it is read again, and nothing crashes.
 *
 * The first byte says which file.  A journal begins as one that we have made, and
 * each three bytes of the input change one of its own (two say where, one what), for
 * sums would keep any other input out; an intent file is the input itself. */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fuzz.h"
#include "os/intent.h"
#include "os/journal.h"

#define MUST(what)                                                                                                     \
    do {                                                                                                               \
        if (!(what))                                                                                                   \
            abort();                                                                                                   \
    } while (0)

static const struct identity_era today = { .boot = { 1 } };
static char path[64];

static struct journal *reopen(enum journal_origin *origin)
{
    struct journal *j = NULL;
    MUST(journal_open(path, &today, &j, origin) == 0);
    return j;
}

static void make_journal(void)
{
    enum journal_origin origin;
    struct journal *j = reopen(&origin);
    for (int n = 0; n < 3; n++) {
        const struct journal_slot s = { .pid = 100 + n, .state = 20 };
        uint32_t i = journal_add(j, "g", n == 0 ? "a" : n == 1 ? "b" : "c");
        journal_commit(j, i, &s);
        journal_commit(j, i, &s);
    }
    journal_close(j);
}

static void change(const uint8_t *data, size_t size)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    off_t end = lseek(fd, 0, SEEK_END);
    for (; size >= 3; data += 3, size -= 3)
        MUST(pwrite(fd, data + 2, 1, (data[0] | data[1] << 8) % end) == 1);
    if (size == 2)
        MUST(ftruncate(fd, (data[0] | data[1] << 8) % end) == 0);
}

static unsigned count(const struct journal *j)
{
    unsigned n = 0;
    char name[JOURNAL_NAME_MAX + 1];
    for (uint32_t i = 0; journal_next(j, &i); i++, n++) {
        MUST(journal_get(j, i) != NULL);
        journal_name(j, i, name);
        MUST(strlen(name) <= JOURNAL_NAME_MAX);
    }
    return n;
}

static void use_journal(void)
{
    enum journal_origin origin;
    char name[JOURNAL_NAME_MAX + 1];
    struct journal *j = reopen(&origin);
    for (uint32_t i = 0; journal_next_damaged(j, &i); i++) {
        journal_name(j, i, name);
        journal_get(j, i);
        journal_remove(j, i);
    }
    const struct journal_slot s = { .pid = 7 };
    for (int n = 0; n < 20; n++) {
        snprintf(name, sizeof(name), "n%d", n);
        uint32_t i = journal_add(j, "g", name);
        MUST(i != JOURNAL_NONE);
        journal_commit(j, i, &s);
    }
    unsigned n = count(j);
    journal_set_sequence(j, journal_sequence(j) + 1);
    journal_close(j);
    j = reopen(&origin);
    uint32_t bad = 0;
    MUST(origin == JOURNAL_RECOVERED && count(j) == n && !journal_next_damaged(j, &bad));
    MUST(journal_get(j, journal_find(j, "g", "n19"))->pid == 7);
    journal_close(j);
}

static void use_intent(const uint8_t *data, size_t size)
{
    struct intent *it = NULL;
    unsigned damaged;
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    MUST(write(fd, data, size) == (ssize_t)size);
    MUST(intent_open(path, &it, &damaged) == 0);
    bool web = intent_is_stopped(it, "g", "web");
    MUST(intent_note(it, "g", "db", true, 1) == 0 && intent_sync(it) == 0);
    intent_close(it);
    it = NULL;
    MUST(intent_open(path, &it, &damaged) == 0 && damaged == 0);
    MUST(intent_is_stopped(it, "g", "db") && intent_is_stopped(it, "g", "web") == web);
    intent_close(it);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    snprintf(path, sizeof(path), "/tmp/drover-fuzz-state.%d", getpid());
    unlink(path);
    if (size > 0 && (data[0] & 1) != 0) {
        use_intent(data + 1, size - 1);
    } else {
        make_journal();
        if (size > 0)
            change(data + 1, size - 1);
        use_journal();
    }
    unlink(path);
    char aside[80];
    snprintf(aside, sizeof(aside), "%s.refused", path);
    unlink(aside);
    return 0;
}
