/* spawn_asserts.h - reads the report of `inherits`, see tests/tools/inherits.c. */
#pragma once

#include "spawn_driver.h"

static inline const char *line_after(const char *line)
{
    return line[strcspn(line, "\n")] == '\0' ? line + strlen(line) : line + strcspn(line, "\n") + 1;
}

static inline int count_lines(const char *text, const char *prefix)
{
    int n = 0;
    assert_non_null(text);
    for (; *text != '\0'; text = line_after(text))
        n += strncmp(text, prefix, strlen(prefix)) == 0;
    return n;
}

/* All lines that begin so, together. */
static inline void assert_lines(const char *text, const char *prefix, const char *expected)
{
    char found[2048];
    size_t n = 0;
    if (text == NULL)
        fail_msg("the program was not run");
    for (; text != NULL && *text != '\0'; text = line_after(text)) {
        size_t length = (size_t)(line_after(text) - text);
        if (strncmp(text, prefix, strlen(prefix)) != 0 || n + length >= sizeof(found))
            continue;
        memcpy(found + n, text, length);
        n += length;
    }
    found[n] = '\0';
    assert_string_equal(found, expected);
}

static inline long number_of(const char *text, const char *prefix)
{
    assert_non_null(text);
    for (; *text != '\0'; text = line_after(text))
        if (strncmp(text, prefix, strlen(prefix)) == 0)
            return strtol(text + strlen(prefix), NULL, 10);
    return -1;
}

/* Descriptor `number` of the child is the file that we have open as `ours`. */
static inline void assert_descriptor(const char *text, int number, int ours)
{
    char expected[100];
    struct stat st;
    assert_non_null(text);
    assert_int_equal(fstat(ours, &st), 0);
    snprintf(expected, sizeof(expected), "fd %d %lu:%lu ", number, (unsigned long)st.st_dev, (unsigned long)st.st_ino);
    if (count_lines(text, expected) != 1)
        fail_msg("descriptor %d is not what it should be:\n%s", number, text);
}

static inline void assert_fails(const struct spawn_plan *plan, enum spawn_stage stage, int error)
{
    struct spawned child;
    assert_int_equal(spawn(plan, &child), 0);
    struct end end = end_of(&child);
    assert_string_equal(spawn_stage_name(end.report.stage), spawn_stage_name(stage));
    assert_int_equal(end.report.error, error);
    assert_int_equal(end.status, 127 << 8);
}
