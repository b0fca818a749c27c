/* parse.c - see parse.h.  Pure.  Numbers are read as Python's int() reads them,
 * because that is what the files of this world were written for. */
#include "base/parse.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/strtab.h"
#include "base/utf8.h"

static int digit_of(char c, int base)
{
    int d = c >= '0' && c <= '9' ? c - '0' : -1;
    return d < base ? d : -1;
}

/* Digits with single underscores between them. */
static int digits(const char *s, size_t len, int base, bool negative, int64_t *ret)
{
    int64_t value = 0;
    bool range = false;
    if (len == 0 || s[0] == '_' || s[len - 1] == '_')
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '_' && s[i - 1] != '_')
            continue;
        int d = digit_of(s[i], base);
        if (d < 0)
            return -EINVAL;
        range = range || __builtin_mul_overflow(value, base, &value) ||
                __builtin_add_overflow(value, negative ? -d : d, &value);
    }
    if (range)
        return -ERANGE;
    *ret = value;
    return 0;
}

static int parse_integer(const char *s, size_t len, int base, int64_t *ret)
{
    utf8_strip(&s, &len);
    bool negative = len > 0 && *s == '-';
    if (len > 0 && (*s == '-' || *s == '+')) {
        s++;
        len--;
    }
    if (base == 8 && len > 2 && s[0] == '0' && (s[1] == 'o' || s[1] == 'O')) {
        s += 2;
        len -= 2;
        if (*s == '_') { /* Python allows one after the prefix */
            s++;
            len--;
        }
    }
    return digits(s, len, base, negative, ret);
}

int parse_int(const char *s, int64_t *ret)
{
    return parse_integer(s, strlen(s), 10, ret);
}

int parse_octal(const char *s, int64_t *ret)
{
    return parse_integer(s, strlen(s), 8, ret);
}

int parse_bool(const char *s, bool *ret)
{
    static const struct strtab words[] = {
        { "true", 1 }, { "yes", 1 }, { "on", 1 }, { "1", 1 }, { "false", 0 }, { "no", 0 }, { "off", 0 }, { "0", 0 },
    };
    int value;
    int r = strtab_value(words, ELEMENTS(words), s, &value);
    if (r == 0)
        *ret = value != 0;
    return r;
}

int parse_size(const char *s, int64_t *ret)
{
    static const struct strtab units[] = { { "kb", 1 << 10 }, { "mb", 1 << 20 }, { "gb", 1 << 30 } };
    size_t len = strlen(s);
    int unit = 1;
    if (len >= 2 && strtab_value(units, ELEMENTS(units), s + len - 2, &unit) == 0)
        len -= 2;
    int64_t value;
    int r = parse_integer(s, len, 10, &value);
    if (r < 0)
        return r;
    return __builtin_mul_overflow(value, unit, ret) ? -ERANGE : 0;
}

/* DIGITS[.DIGITS] in millionths; *end is what follows. */
static int millionths(const char *s, uint64_t *ret, const char **end)
{
    uint64_t whole = 0, fraction = 0, scale = 1000000;
    const char *p = s;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(whole, 10u, &whole) || __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole))
            return -ERANGE;
    if (p == s)
        return -EINVAL;
    if (*p == '.' && p[1] >= '0' && p[1] <= '9')
        for (p++; *p >= '0' && *p <= '9'; p++)
            if (scale > 1)
                fraction += (uint64_t)(*p - '0') * (scale /= 10);
    *end = p;
    if (__builtin_mul_overflow(whole, 1000000u, &whole) || __builtin_add_overflow(whole, fraction, ret))
        return -ERANGE;
    return 0;
}

int parse_decimal(const char *s, double *ret)
{
    uint64_t value;
    const char *end;
    int r = millionths(s, &value, &end);
    if (r < 0 || *end != '\0')
        return r < 0 ? r : -EINVAL;
    *ret = (double)value / 1e6;
    return 0;
}

int parse_duration(const char *s, usec_t *ret)
{
    static const struct {
        const char *name;
        uint64_t numerator, denominator; /* of a second */
    } units[] = {
        { "us", 1, 1000000 }, { "ms", 1, 1000 }, { "s", 1, 1 },     { "", 1, 1 },
        { "m", 60, 1 },       { "h", 3600, 1 },  { "d", 86400, 1 },
    };
    uint64_t value;
    int64_t plain;
    const char *end;
    if (strcasecmp(s, "infinity") == 0) {
        *ret = USEC_INFINITY;
        return 0;
    }
    int r = parse_int(s, &plain);
    if (r == 0 && plain >= 0) {
        if (__builtin_mul_overflow((uint64_t)plain, (uint64_t)USEC_PER_SEC, &value))
            return -ERANGE;
        *ret = value;
        return 0;
    }
    if (r == 0 || r == -ERANGE)
        return -ERANGE;
    r = millionths(s, &value, &end);
    if (r < 0)
        return r;
    while (*end == ' ')
        end++;
    for (size_t i = 0; i < ELEMENTS(units); i++) {
        if (strcasecmp(end, units[i].name) == 0)
            return __builtin_mul_overflow(value / units[i].denominator, units[i].numerator, ret) ? -ERANGE : 0;
    }
    return -EINVAL;
}

/* The first name of a number is the one that is shown. */
static const struct strtab signals[] = {
    { "HUP", SIGHUP },   { "INT", SIGINT },       { "QUIT", SIGQUIT },     { "ILL", SIGILL },   { "TRAP", SIGTRAP },
    { "ABRT", SIGABRT }, { "IOT", SIGABRT },      { "BUS", SIGBUS },       { "FPE", SIGFPE },   { "KILL", SIGKILL },
    { "USR1", SIGUSR1 }, { "SEGV", SIGSEGV },     { "USR2", SIGUSR2 },     { "PIPE", SIGPIPE }, { "ALRM", SIGALRM },
    { "TERM", SIGTERM }, { "STKFLT", SIGSTKFLT }, { "CHLD", SIGCHLD },     { "CLD", SIGCHLD },  { "CONT", SIGCONT },
    { "STOP", SIGSTOP }, { "TSTP", SIGTSTP },     { "TTIN", SIGTTIN },     { "TTOU", SIGTTOU }, { "URG", SIGURG },
    { "XCPU", SIGXCPU }, { "XFSZ", SIGXFSZ },     { "VTALRM", SIGVTALRM }, { "PROF", SIGPROF }, { "WINCH", SIGWINCH },
    { "IO", SIGIO },     { "POLL", SIGIO },       { "PWR", SIGPWR },       { "SYS", SIGSYS },   { "RTMIN", 34 },
    { "RTMAX", 64 },
};

static bool may_be_sent(int64_t number)
{
    return number > 0 && number <= 64 && parse_signal_name((int)number) != NULL;
}

const char *parse_signal_name(int number)
{
    return strtab_name(signals, ELEMENTS(signals), number);
}

int parse_signal(const char *s, int *ret)
{
    int64_t number;
    int r = parse_int(s, &number);
    if (r == 0) {
        if (!may_be_sent(number))
            return -ERANGE;
        *ret = (int)number;
        return 0;
    }
    if (strncasecmp(s, "SIG", 3) == 0)
        s += 3;
    return strtab_value(signals, ELEMENTS(signals), s, ret);
}
