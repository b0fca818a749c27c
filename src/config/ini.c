/* ini.c - see ini.h.  The only file that knows inih.
 *
 * libinih as distributions ship it cuts lines at 199 bytes and section names at
 * 49, and tells no line numbers.  So the reader keeps every name and value in its
 * list of records, and inih is given one short line for each, with their numbers
 * in place of the text: "[@4]", "key = @5".  What it hands back are numbers that
 * we gave it, and anything else is refused. */
#include "config/ini.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct feed {
    struct ini *ini;
    const struct reader *reader;
    struct ini_section *section;
    size_t next;
    uint16_t file;
    int error;
};

void ini_init(struct ini *ini, struct arena *arena)
{
    *ini = (struct ini){ .arena = arena };
    ini->tail = &ini->sections;
}

void ini_done(struct ini *ini)
{
    map_done(&ini->index);
}

struct ini_section *ini_section(const struct ini *ini, const char *name)
{
    return map_get(&ini->index, 0, name);
}

/* A section has ten keys or so and is asked for each that there is: most of the
 * questions are answered by one bit, without a search. */
static uint64_t name_bit(const char *name, size_t len)
{
    unsigned last = len > 0 ? (unsigned char)name[len - 1] : 0;
    return UINT64_C(1) << (((unsigned char)name[0] + 7 * len + 3 * last) % 64);
}

struct ini_key *ini_own_key(const struct ini *ini, const struct ini_section *section, const char *name)
{
    size_t len = strlen(name);
    if (!(section->name_bits & name_bit(name, len)))
        return NULL;
    void **v = map_find(&ini->index, (uintptr_t)section, name, len);
    return v != NULL ? *v : NULL;
}

struct ini_key *ini_key(const struct ini *ini, const struct ini_section *section, const char *name)
{
    struct ini_key *key = ini_own_key(ini, section, name);
    if (key == NULL && ini->defaults != NULL)
        key = ini_own_key(ini, ini->defaults, name);
    return key;
}

static struct ini_section *enter(struct ini *ini, const char *name, uint16_t file, uint32_t line)
{
    if (strcmp(name, "DEFAULT") == 0 && ini->defaults != NULL)
        return ini->defaults;
    struct ini_section *s = ini_section(ini, name);
    if (s != NULL)
        return s;
    s = arena_new(ini->arena, struct ini_section);
    if (s == NULL)
        return NULL;
    *s = (struct ini_section){ .name = name, .file = file, .line = line };
    s->tail = &s->keys;
    if (strcmp(name, "DEFAULT") == 0) {
        ini->defaults = s;
        return s;
    }
    void **slot = map_add(&ini->index, 0, name, strlen(name));
    if (slot == NULL)
        return NULL;
    *slot = s;
    *ini->tail = s;
    ini->tail = &s->next;
    return s;
}

static struct ini_key *set(struct ini *ini, struct ini_section *section, const char *name)
{
    size_t len = strlen(name);
    void **slot = map_add(&ini->index, (uintptr_t)section, name, len);
    if (slot == NULL)
        return NULL;
    section->name_bits |= name_bit(name, len);
    if (*slot == NULL) {
        struct ini_key *key = *slot = arena_new(ini->arena, struct ini_key);
        if (key == NULL)
            return NULL;
        key->name = name;
        *section->tail = key;
        section->tail = &key->next;
    }
    return *slot;
}

/* fgets() for inih: the next record as one short line. */
static char *give_line(char *line, int size, void *arg)
{
    struct feed *f = arg;
    if (f->next >= f->reader->n_records)
        return NULL;
    const struct reader_record *r = &f->reader->records[f->next];
    snprintf(line, (size_t)size, "key = @%zu\n", f->next++);
    return r != NULL ? line : NULL;
}

static void give_value(struct feed *f, struct ini_key *key, const struct reader_record *r)
{
    key->value = r->value;
    key->line = r->line;
    key->file = f->file;
    if (key->fresh)
        return;
    key->fresh = true;
    key->next_fresh = f->ini->fresh;
    f->ini->fresh = key;
}

static int take_key(void *arg, const char *section, const char *name, const char *value)
{
    struct feed *f = arg;
    (void)section;
    char *end;
    if (strcmp(name, "key") != 0 || value[0] != '@')
        return 0;
    size_t number = strtoul(value + 1, &end, 10);
    if (*end != '\0' || number >= f->reader->n_records)
        return 0;
    const struct reader_record *r = &f->reader->records[number];
    if (r->is_section) {
        f->section = enter(f->ini, r->name, f->file, r->line);
    } else if (f->section != NULL) {
        struct ini_key *key = set(f->ini, f->section, r->name);
        if (key != NULL)
            give_value(f, key, r);
        else
            f->error = -ENOMEM;
    }
    if (f->section == NULL)
        f->error = -ENOMEM;
    return 1;
}

int ini_merge(struct ini *ini, uint16_t file, const struct reader *r)
{
    struct feed f = { .ini = ini, .reader = r, .file = file };
    if (ini_parse_stream(give_line, &f, take_key, &f) != 0)
        return f.error != 0 ? f.error : -EINVAL;
    return f.error;
}

/* --- %(here)s --------------------------------------------------------------- */

static const char mark[] = "%(here)s";

static void replace_here(struct ini *ini, struct ini_key *key, const char *here)
{
    size_t n = 0, mark_len = sizeof mark - 1, here_len = strlen(here);
    for (const char *p = key->value; (p = strstr(p, mark)) != NULL; p += mark_len)
        n++;
    if (n == 0)
        return;
    size_t len = strlen(key->value) + n * here_len - n * mark_len;
    char *out = arena_alloc(ini->arena, len + 1);
    if (out == NULL)
        return;
    const char *from = key->value;
    key->value = out;
    for (const char *p; (p = strstr(from, mark)) != NULL; from = p + mark_len) {
        out = mempcpy(out, from, (size_t)(p - from));
        out = mempcpy(out, here, here_len);
    }
    memcpy(out, from, strlen(from) + 1);
}

/* Keys of [DEFAULT] that hold the mark become keys of each section that has none. */
static void copy_default(struct ini *ini, const struct ini_key *key, const char *here)
{
    for (struct ini_section *s = ini->sections; s != NULL; s = s->next) {
        if (ini_own_key(ini, s, key->name) != NULL)
            continue;
        struct ini_key *copy = set(ini, s, key->name);
        if (copy == NULL) {
            ini->arena->failed = true;
            return;
        }
        copy->value = key->value;
        copy->line = key->line;
        copy->file = key->file;
        replace_here(ini, copy, here);
    }
}

void ini_expand_here(struct ini *ini, const char *here)
{
    for (struct ini_key *key = ini->defaults != NULL ? ini->defaults->keys : NULL; key != NULL; key = key->next)
        if (strstr(key->value, mark) != NULL)
            copy_default(ini, key, here);
    while (ini->fresh != NULL) {
        struct ini_key *key = ini->fresh;
        ini->fresh = key->next_fresh;
        key->fresh = false;
        if (ini->defaults == NULL || ini_own_key(ini, ini->defaults, key->name) != key)
            replace_here(ini, key, here);
    }
}
