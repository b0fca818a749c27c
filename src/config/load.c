/* load.c - files in, one struct config or a list of errors out.
 *
 * Reads the main file and what it includes into one table (config/ini), decides
 * which kind of file it is, and has each part evaluated in supervisord's order.
 * An error never ends the work, so that all of them are told together.  Scratch
 * memory, with all texts of the files, is given back before it returns. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "config/load.h"

const char *checked_name(struct loader *l, const struct where *w, const char *name)
{
    static const char *const bad[] = { " ", ":", "/" };
    const char *s = name;
    size_t len = strlen(s);
    utf8_strip(&s, &len);
    s = arena_copy(&l->scratch, s, len);
    for (size_t i = 0; i < 3; i++) {
        if (strstr(s, bad[i]) == NULL)
            continue;
        report(l, DIAGNOSTIC_ERROR, w,
               scratchf(l, "Invalid name: %s because of character: '%s'", python_repr(l, name), bad[i]),
               "the name \"%s\" has a \"%s\" in it; use letters, digits, - and _", name, bad[i]);
        return NULL;
    }
    return keep_string(l, s);
}

/* What the world says of a file that it will not read. */
static const char *reason(int error)
{
    return error == -EINVAL ? "not a regular file" : strerror(-error);
}

/* --- files ------------------------------------------------------------------ */

static bool add_file(struct loader *l, const char *path)
{
    if (l->n_files % 64 == 0) {
        const char **bigger = reallocarray(l->files, l->n_files + 64, sizeof *bigger);
        if (bigger == NULL) {
            l->scratch.failed = true;
            return false;
        }
        l->files = bigger;
    }
    l->files[l->n_files++] = keep_string(l, path);
    return true;
}

static void report_reading(struct loader *l, const struct reader *r, const char *path)
{
    for (size_t i = 0; i < r->n_faults; i++) {
        struct where w = { .file = path, .line = r->faults[i].line };
        bool stopped = r->n_records == 0 || r->faults[i].line < r->records[0].line;
        l->unreadable = l->unreadable || stopped;
        report(l, DIAGNOSTIC_ERROR, &w, r->faults[i].compat, "%s", r->faults[i].what);
    }
    for (size_t i = 0; i < r->n_records; i++) {
        if (!r->records[i].cut)
            continue;
        struct where w = { .file = path, .line = r->records[i].cut_line, .option = r->records[i].name };
        report(l, DIAGNOSTIC_WARNING, &w, NULL,
               "a ; or # after a blank begins a comment even inside quotes, and has cut the value there; move it to a "
               "script, or take away the blank");
    }
}

/* Reads a file that has its number already into the table. */
static void read_text(struct loader *l, const char *path, const char *text, size_t len)
{
    struct reader reader = { .arena = &l->scratch };
    if (len > CONFIG_FILE_MAX) {
        report(l, DIAGNOSTIC_ERROR, &(struct where){ .file = path }, NULL, "more than %lu bytes", CONFIG_FILE_MAX);
        l->unreadable = true;
    } else if (reader_read(&reader, path, text, len) == 0) {
        report_reading(l, &reader, path);
        if (ini_merge(&l->ini, (uint16_t)(l->n_files - 1), &reader) < 0)
            l->scratch.failed = true;
    }
    reader_done(&reader);
}

static bool is_clients(const char *line, size_t len)
{
    static const char *const sections[] = { "[supervisorctl", "[unix_http_server", "[inet_http_server", "[supervisord",
                                            "[droverd" };
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
        if (len > strlen(sections[i]) && strncmp(line, sections[i], strlen(sections[i])) == 0)
            return true;
    return false;
}

/* Empties the lines of sections that are no client's business, in place, so that
 * `droverctl status` does not wait for a thousand programs to be read.  Line
 * numbers stay.  Lone CRs, which count as line ends, are left to the reader. */
static size_t keep_clients_sections(char *text, size_t len)
{
    size_t out = 0;
    bool keep = true;
    for (const char *cr = text; (cr = memchr(cr, '\r', len - (size_t)(cr - text))) != NULL; cr++)
        if (cr[1] != '\n')
            return len;
    for (size_t at = 0; at < len;) {
        const char *newline = memchr(text + at, '\n', len - at);
        size_t n = newline != NULL ? (size_t)(newline - (text + at)) + 1 : len - at;
        if (text[at] == '[')
            keep = is_clients(text + at, n);
        size_t from = keep || newline == NULL ? at : at + n - 1;
        memmove(text + out, text + from, at + n - from);
        out += at + n - from;
        at += n;
    }
    text[out] = '\0';
    return out;
}

static void read_main(struct loader *l, const char *path)
{
    char *text = NULL;
    size_t len = 0;
    add_file(l, path);
    int r = l->world->read_file(l->world->ctx, path, &text, &len);
    if (r < 0) {
        l->unreadable = true;
        report(l, DIAGNOSTIC_ERROR, &(struct where){ .file = path },
               scratchf(l, "could not %s config file %s", r == -ENOENT ? "find" : "read", path), "cannot be read: %s",
               reason(r));
        return;
    }
    if (l->client_only)
        len = keep_clients_sections(text, len);
    read_text(l, path, text, len);
    free(text);
}

/* A file that went away, or a directory, is passed over as supervisord does, but
 * not in silence; one that may not be read could hide half of the programs. */
static void read_included(struct loader *l, const char *path)
{
    struct where main = { .file = l->files[0] };
    char *text = NULL;
    size_t len = 0;
    if (l->n_files >= CONFIG_FILES_MAX) {
        report(l, DIAGNOSTIC_ERROR, &main, NULL, "more than %d files are included", CONFIG_FILES_MAX);
        return;
    }
    report(l, DIAGNOSTIC_INFO, &main, scratchf(l, "Included extra file \"%s\" during parsing", path), "includes %s",
           path);
    if (!add_file(l, path))
        return;
    int r = l->world->read_file(l->world->ctx, path, &text, &len);
    if (r < 0)
        report(l, r == -ENOENT || r == -EISDIR ? DIAGNOSTIC_WARNING : DIAGNOSTIC_ERROR,
               &(struct where){ .file = l->files[l->n_files - 1] }, NULL, "cannot be read: %s", reason(r));
    else
        read_text(l, l->files[l->n_files - 1], text, len);
    free(text);
    ini_expand_here(&l->ini, path_normal(l, path_directory(l, path)));
}

/* --- [include] -------------------------------------------------------------- */

static void free_paths(char **paths)
{
    for (size_t i = 0; paths != NULL && paths[i] != NULL; i++)
        free(paths[i]);
    free(paths);
}

static void include(struct loader *l, const char *pattern, const struct where *w)
{
    char **paths = NULL;
    int r = l->world->glob(l->world->ctx, pattern, &paths);
    if (r < 0)
        report(l, DIAGNOSTIC_ERROR, w, NULL, "cannot look for %s: %s", pattern, strerror(-r));
    else if (paths == NULL || paths[0] == NULL)
        report(l, DIAGNOSTIC_WARNING, w, scratchf(l, "No file matches via include \"%s\"", pattern),
               "no file matches %s", pattern);
    for (size_t i = 0; r == 0 && paths != NULL && paths[i] != NULL; i++)
        read_included(l, paths[i]);
    free_paths(paths);
}

/* The next word, by any blanks; NULL at the end. */
static const char *next_word(struct loader *l, const char **p)
{
    size_t len = strlen(*p), n = 0, step;
    uint32_t c;
    utf8_strip(p, &len);
    while (n < len) {
        step = utf8_next(*p + n, len - n, &c);
        if (utf8_is_space(c))
            break;
        n += step;
    }
    const char *word = *p;
    *p += n;
    return n > 0 ? arena_copy(&l->scratch, word, n) : NULL;
}

static void read_includes(struct loader *l)
{
    const struct ini_section *section = ini_section(&l->ini, "include");
    if (section == NULL)
        return;
    ini_expand_here(&l->ini, l->here);
    const struct ini_key *key = ini_key(&l->ini, section, "files");
    struct where w = { .section = section, .key = key, .option = "files" };
    struct scope scope = { .here = l->here, .host = l->world->host };
    if (key == NULL) {
        report(l, DIAGNOSTIC_ERROR, &w, ".ini file has [include] section, but no files setting",
               "is missing; write files = conf.d/*.conf");
        return;
    }
    struct ini_key at = *key; /* the place stays that of the main file, whatever is included */
    w.key = &at;
    const char *text = expand(l, &scope, key->value, "include.files", &w);
    if (text == NULL)
        return;
    const char *base = path_directory(l, path_normal(l, l->files[0]));
    size_t n = 0, room = strlen(text) / 2 + 1;
    const char **patterns = arena_new_array(l->keep, room < 4096 ? room : 4096, const char *);
    for (const char *word; patterns != NULL && (word = next_word(l, &text)) != NULL && n < 4096;) {
        const char *slash = base[strlen(base) - 1] == '/' ? "" : "/";
        const char *pattern = word[0] == '/' ? word : scratchf(l, "%s%s%s", base, slash, word);
        patterns[n++] = keep_string(l, pattern);
        include(l, pattern, &w);
    }
    l->c->include_patterns = (const char *const *)patterns;
    l->c->n_include_patterns = n;
}

/* --- what no table knows ------------------------------------------------------- */

static void tell_unknown(struct loader *l, const struct where *w, const char *what, const char *name,
                         const char *nearest)
{
    bool native = l->c->kind == CONFIG_NATIVE;
    enum diagnostic_level level = native ? DIAGNOSTIC_ERROR : DIAGNOSTIC_WARNING;
    const char *fate = native ? "" : ", so it is ignored";
    if (nearest != NULL)
        report(l, level, w, NULL, "there is no %s \"%s\"%s; did you mean %s", what, name, fate, nearest);
    else
        report(l, level, w, NULL, "there is no %s \"%s\"%s; see droverd --help-config", what, name, fate);
}

static void check_section(struct loader *l, const struct ini_section *section)
{
    const struct option_table *tables[2];
    size_t n = option_tables_of(section->name, tables);
    struct where w = { .section = section };
    if (n == 0) {
        tell_unknown(l, &w, "section", section->name, option_nearest_section(section->name));
        return;
    }
    if (tables[0] == &options_rpcinterface || tables[0] == &options_ctlplugin)
        return;
    if (tables[0] == &options_include && section->keys != NULL && section->keys->file != 0)
        report(l, DIAGNOSTIC_WARNING, &w, NULL, "is ignored in an included file; only the main file includes others");
    for (const struct ini_key *key = section->keys; key != NULL; key = key->next) {
        if (option_find(tables[0], key->name) != NULL || (n == 2 && option_find(tables[1], key->name) != NULL))
            continue;
        w.key = key;
        w.option = key->name;
        tell_unknown(l, &w, "key", key->name, l->d->n < 200 ? option_nearest_key(section->name, key->name) : NULL);
    }
}

static void check_unknown(struct loader *l)
{
    for (const struct ini_section *s = l->ini.sections; s != NULL; s = s->next)
        check_section(l, s);
}

/* --- the whole ------------------------------------------------------------------ */

static bool open_loader(struct loader *l, const struct config_world *world, struct diagnostics *d)
{
    struct config_holder *h = calloc(1, sizeof *h);
    if (h == NULL)
        return false;
    h->arena = ARENA_INIT(CONFIG_MEMORY_MAX);
    h->c.refs = 1;
    h->c.arena = &h->arena;
    *l = (struct loader){ .world = world, .d = d, .c = &h->c, .keep = &h->arena };
    l->scratch = ARENA_INIT(CONFIG_MEMORY_MAX * 4);
    ini_init(&l->ini, &l->scratch);
    return true;
}

static bool begin(struct loader *l, const struct config_world *world, const char *path, bool client_only,
                  struct diagnostics *d)
{
    if (!open_loader(l, world, d))
        return false;
    l->client_only = client_only;
    for (size_t i = 0; world->environ != NULL && world->environ[i] != NULL; i++) {
        const char *entry = world->environ[i], *equals = strchr(entry, '=');
        if (equals != NULL && equals != entry)
            set_environ(l, arena_copy(&l->scratch, entry, (size_t)(equals - entry)), equals + 1);
    }
    l->c->path = keep_string(l, path_normal(l, path));
    l->here = world->here != NULL ? world->here : path_directory(l, l->c->path);
    read_main(l, path);
    return true;
}

static int finish(struct loader *l, size_t errors_before, struct config **ret)
{
    bool failed = l->scratch.failed || l->keep->failed;
    if (failed)
        report(l, DIAGNOSTIC_ERROR, &(struct where){ .file = l->c->path }, NULL,
               "needs more memory than there is, or than %lu MiB", CONFIG_MEMORY_MAX >> 20);
    diagnostics_sort(l->d);
    const char **files = arena_new_array(l->keep, l->n_files, const char *);
    if (files != NULL && l->n_files > 0)
        memcpy(files, l->files, l->n_files * sizeof *files);
    l->c->files = files;
    l->c->n_files = l->n_files;
    l->c->plugins = l->plugins;
    l->c->n_plugins = l->n_plugins;
    ini_done(&l->ini);
    map_done(&l->strings);
    map_done(&l->environ);
    arena_done(&l->scratch);
    free(l->files);
    int r = failed || files == NULL ? -ENOMEM : l->d->n_errors > errors_before ? -EINVAL : 0;
    if (r < 0)
        config_unref(l->c);
    else
        *ret = l->c;
    return r;
}

static const struct ini_section *daemon_section(struct loader *l)
{
    const struct ini_section *native = ini_section(&l->ini, "droverd"), *other = ini_section(&l->ini, "supervisord");
    l->c->kind = native != NULL ? CONFIG_NATIVE : CONFIG_SUPERVISORD;
    if (native != NULL && other != NULL)
        report(l, DIAGNOSTIC_ERROR, &(struct where){ .section = native }, NULL,
               "there is a [supervisord] too; keep one of the two");
    if (native == NULL && other == NULL)
        report(l, DIAGNOSTIC_ERROR, &(struct where){ .file = l->files[0] },
               ".ini file does not include supervisord section",
               "there is no [droverd] and no [supervisord] section; a file of programs alone is to be included");
    return native != NULL ? native : other;
}

static void evaluate(struct loader *l, const struct config_override *overrides)
{
    const struct ini_section *section = daemon_section(l);
    load_daemon(l, section, overrides);
    load_plugins(l, &options_rpcinterface, &l->c->rpcinterfaces, &l->c->n_rpcinterfaces);
    load_groups(l);
    load_servers(l);
    load_daemon_user(l, section);
    l->c->client.present = ini_section(&l->ini, "supervisorctl") != NULL;
    check_unknown(l);
}

int config_load_with(const struct config_world *world, const char *path, const struct config_override *overrides,
                     struct config **ret, struct diagnostics *d)
{
    struct loader l;
    size_t errors = d->n_errors;
    if (!begin(&l, world, path, false, d))
        return -ENOMEM;
    if (!l.unreadable)
        read_includes(&l);
    if (!l.unreadable && !l.scratch.failed)
        evaluate(&l, overrides);
    return finish(&l, errors, ret);
}

int config_load(const struct config_world *world, const char *path, struct config **ret, struct diagnostics *d)
{
    return config_load_with(world, path, NULL, ret, d);
}

static int load_for_client(const struct config_world *world, const char *path, bool client_only, struct config **ret,
                           struct diagnostics *d)
{
    struct loader l;
    size_t errors = d->n_errors;
    if (!begin(&l, world, path, client_only, d))
        return -ENOMEM;
    l.c->kind = ini_section(&l.ini, "droverd") != NULL ? CONFIG_NATIVE : CONFIG_SUPERVISORD;
    if (!l.unreadable && !l.scratch.failed)
        load_client(&l);
    return finish(&l, errors, ret);
}

int config_load_client(const struct config_world *world, const char *path, struct config **ret, struct diagnostics *d)
{
    return load_for_client(world, path, false, ret, d);
}

int config_load_endpoint(const struct config_world *world, const char *path, struct config **ret, struct diagnostics *d)
{
    return load_for_client(world, path, true, ret, d);
}

int config_load_transient(const struct config_world *world, const struct config_transient *t, struct config **ret,
                          struct diagnostics *d)
{
    struct loader l;
    size_t errors = d->n_errors;
    if (!open_loader(&l, world, d))
        return -ENOMEM;
    l.here = world->cwd;
    l.c->kind = CONFIG_NATIVE;
    load_transient(&l, t);
    return finish(&l, errors, ret);
}
