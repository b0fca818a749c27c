/* fuzz_config.c - any bytes as a configuration file: an answer, never a crash.
 *
 * The input is the main file; what follows a NUL byte is an included file.  What
 * loads is printed in both forms and compared with itself, so that their code
 * meets odd values too. */
#include <stddef.h>
#include <stdint.h>

#include "../unit/memory_world.h"
#include "base/buf.h"
#include "config/print.h"
#include "fuzz.h"
#include "wire/config_json.h"

static void use(const struct config *c)
{
    _cleanup_fclose_ FILE *null = fopen("/dev/null", "we");
    _cleanup_buf_ struct buf json = BUF_INIT(64 << 20);
    if (null != NULL)
        config_print(null, c);
    config_json(&json, c);
    for (size_t i = 0; i < c->n_groups; i++)
        if (!group_equal(&c->groups[i], &c->groups[i]))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size > 0 ? memchr(data, '\0', size) : NULL;
    size_t main_len = nul != NULL ? (size_t)(nul - data) : size;
    _cleanup_free_ char *main_text = strndup((const char *)data, main_len);
    size_t other_len = nul != NULL ? size - main_len - 1 : 0;
    _cleanup_free_ char *other = calloc(1, other_len + 1);
    if (main_text == NULL || other == NULL)
        return 0;
    if (other_len > 0)
        memcpy(other, nul + 1, other_len);
    const struct memory_file files[] = {
        { "/etc/main.conf", main_text, main_len, 0 },
        { "/etc/conf.d/a.conf", other, other_len, 0 },
        { 0 },
    };
    struct config_world world = memory_world(files);
    struct diagnostics d = { 0 };
    struct config *c = NULL;
    if (config_load(&world, "/etc/main.conf", &c, &d) == 0)
        use(c);
    config_unref(c);
    c = NULL;
    config_load_client(&world, "/etc/main.conf", &c, &d);
    config_unref(c);
    diagnostics_clear(&d);
    return 0;
}
