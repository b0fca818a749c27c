/* edit.h - libedit, found when a line is to be edited and not before.
 *
 * It brings four libraries with it, which a verb that runs in two milliseconds
 * would spend a tenth of its time on. */
#pragma once

#include <histedit.h>

struct edit_library {
    __typeof__(el_init) *init;
    __typeof__(el_end) *end;
    __typeof__(el_get) *get;
    __typeof__(el_set) *set;
    __typeof__(el_gets) *read_line;
    __typeof__(el_line) *line;
    __typeof__(el_cursor) *cursor;
    __typeof__(el_deletestr) *deletestr;
    __typeof__(el_insertstr) *insertstr;
    __typeof__(el_resize) *resize;
    __typeof__(el_source) *source;
    __typeof__(history_init) *history_init;
    __typeof__(history_end) *history_end;
    __typeof__(history) *history;
};

/* The same at each call; NULL where it is not installed. */
const struct edit_library *edit_library(void);
