/* parse.h - words to numbers.  The whole word must be meant: 0, -EINVAL, or
 * -ERANGE when it is a number but too large to hold. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/usec.h"

int parse_int(const char *s, int64_t *ret);    /* blanks around it, a sign, "1_000" */
int parse_octal(const char *s, int64_t *ret);  /* the same in base 8, "0o22" too */
int parse_bool(const char *s, bool *ret);      /* true yes on 1, false no off 0, in any case */
int parse_size(const char *s, int64_t *ret);   /* bytes, or with KB, MB, GB */
int parse_decimal(const char *s, double *ret); /* "1.5"; no sign, no exponent */

/* A plain number is seconds (0.5 too); or with us, ms, s, m, h, d.  Not
 * negative.  "infinity" is USEC_INFINITY. */
int parse_duration(const char *s, usec_t *ret);

/* A signal's name with or without SIG, in any case, or its number. */
int parse_signal(const char *s, int *ret);
const char *parse_signal_name(int number); /* "TERM", or NULL */
