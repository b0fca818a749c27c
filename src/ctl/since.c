/* since.c - see since.h.  Owns nothing.
 *
 * Lines of log_format timestamp begin with their time, those of json with a key
 * "time" before all others; both are UTC and of one length (logline_time()).
 * No form has a blank in it: droverctl takes its line apart at blanks. */
#include "ctl/since.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/parse.h"

#define TIME_LEN (LOGLINE_TIME - 1)

/* True when all of the text is of that form; what the form lacks stays as it is in *tm. */
static bool is_form(const char *text, const char *form, struct tm *tm)
{
    struct tm t = *tm;
    const char *end = strptime(text, form, &t);
    if (end == NULL || *end != '\0')
        return false;
    *tm = t;
    return true;
}

static int parse_time(const char *text, usec_t now, time_t *ret)
{
    static const struct {
        const char *form;
        bool utc, today;
    } forms[] = {
        { "%Y-%m-%dT%H:%M:%SZ", true, false },
        { "%Y-%m-%dT%H:%MZ", true, false },
        { "%Y-%m-%dT%H:%M:%S", false, false },
        { "%Y-%m-%dT%H:%M", false, false },
        { "%Y-%m-%d", false, false },
        { "%H:%M:%S", false, true },
        { "%H:%M", false, true },
    };
    time_t seconds = (time_t)(now / USEC_PER_SEC);
    for (size_t i = 0; i < ELEMENTS(forms); i++) {
        struct tm tm = { .tm_mday = 1 };
        if (forms[i].today)
            localtime_r(&seconds, &tm);
        tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
        tm.tm_isdst = forms[i].utc ? 0 : -1;
        if (!is_form(text, forms[i].form, &tm))
            continue;
        *ret = forms[i].utc ? timegm(&tm) : mktime(&tm);
        return *ret < 0 ? -EINVAL : 0;
    }
    return -EINVAL;
}

int since_parse(const char *text, usec_t now, struct since *ret)
{
    usec_t ago;
    time_t at;
    if (parse_duration(text, &ago) == 0)
        logline_time(ago < now ? now - ago : 0, ret->time);
    else if (parse_time(text, now, &at) == 0)
        logline_time((usec_t)at * USEC_PER_SEC, ret->time);
    else
        return -EINVAL;
    return 0;
}

/* "2031-05-17T08:09:10.123456Z" */
static bool is_time(const char *t)
{
    static const char form[] = "0000-00-00T00:00:00.000000Z";
    for (size_t i = 0; i < TIME_LEN; i++)
        if (form[i] == '0' ? t[i] < '0' || t[i] > '9' : t[i] != form[i])
            return false;
    return true;
}

bool since_compare(const struct since *s, const char *line, size_t len, int *order)
{
    static const char key[] = "{\"time\":\"";
    size_t skip = len > sizeof(key) - 1 && memcmp(line, key, sizeof(key) - 1) == 0 ? sizeof(key) - 1 : 0;
    if (len - skip <= TIME_LEN || !is_time(line + skip))
        return false;
    *order = memcmp(line + skip, s->time, TIME_LEN);
    return true;
}

bool since_compare_first(const struct since *s, const char *data, size_t len, bool whole, int *order)
{
    for (size_t at = 0; at < len; whole = true) {
        if (whole && since_compare(s, data + at, len - at, order))
            return true;
        const char *newline = memchr(data + at, '\n', len - at);
        at = newline != NULL ? (size_t)(newline - data) + 1 : len;
    }
    return false;
}
