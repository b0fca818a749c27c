/* journal_bench.h - journals in a directory of the test's own, and what is put into them. */
#pragma once

#include "cmocka_all.h"

#include <stdbool.h>

#include "os/journal.h"
#include "os/journal_file.h"
#include "scratch.h"

static const struct identity_era today = { .boot = { 1, 2, 3 }, .pid_namespace = 4 };

static struct journal *open_as(const struct identity_era *era, enum journal_origin expected)
{
    struct journal *j = NULL;
    enum journal_origin origin;
    assert_int_equal(journal_open("journal", era, &j, &origin), 0);
    assert_string_equal(journal_origin_name(origin), journal_origin_name(expected));
    return j;
}

static int clean(void **state)
{
    (void)state;
    unlink("journal");
    unlink("journal.refused");
    return 0;
}

static struct journal_slot slot_of(int32_t pid)
{
    struct journal_slot s = { .pid = pid, .start = 77, .state = 20, .auto_log = { "five" } };
    return s;
}

static uint32_t put(struct journal *j, const char *name, int32_t pid)
{
    uint32_t i = journal_add(j, "g", name);
    struct journal_slot s = slot_of(pid);
    assert_int_not_equal(i, JOURNAL_NONE);
    journal_commit(j, i, &s);
    return i;
}

static int count(const struct journal *j, bool (*next)(const struct journal *, uint32_t *))
{
    int n = 0;
    for (uint32_t i = 0; next(j, &i); i++)
        n++;
    return n;
}
