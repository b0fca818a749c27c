/* test_config_image.c - what is mapped is what was loaded, or it is refused. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "cmocka_all.h"
#include "config/print.h"
#include "memory_world.h"
#include "os/config_image.h"
#include "wire/config_json.h"

#define PROGRAMS 700 /* more than one block of memory */

static const char head[] = "[droverd]\nlogfile = /l\nenvironment = A=\"1\",B=\"2\"\n"
                           "[unix_http_server]\nfile = /s\nusername = u\npassword = p\n"
                           "[group:pair]\nprograms = p1,p2\n"
                           "[eventlistener:ear]\ncommand = cat\nevents = TICK_5,PROCESS_STATE\nbuffer_size = 3\n"
                           "[fcgi-program:fast]\ncommand = cat\nsocket = unix:///f.sock\nsocket_mode = 0770\n";

static struct config *load(void)
{
    _cleanup_buf_ struct buf text = BUF_INIT(1 << 20);
    struct diagnostics d = { 0 };
    struct config *config = NULL;
    buf_add(&text, head, sizeof(head) - 1);
    for (int i = 0; i < PROGRAMS; i++)
        buf_printf(&text,
                   "[program:p%d]\ncommand = cat \"a b\" %d\nenvironment = N=\"%d\"\nstdout_logfile = /out.%d\n"
                   "exitcodes = 0,%d\nstopsignal = TERM:%d, KILL\nipc = %s\nnumprocs = 2\n"
                   "process_name = %%(program_name)s_%%(process_num)d\n",
                   i, i, i, i, i % 200, 1 + i % 9, i % 3 == 0 ? "true" : "false");
    const struct memory_file files[] = { { "/etc/drover/drover.conf", text.data, 0, 0 }, { 0 } };
    struct config_world world = memory_world(files);
    assert_int_equal(config_load(&world, "/etc/drover/drover.conf", &config, &d), 0);
    diagnostics_clear(&d);
    return config;
}

/* Everything that people and programs can see of it. */
static struct buf seen(const struct config *config)
{
    struct buf b = BUF_INIT(16 << 20);
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_int_equal(config_print(out, config), 0);
    fclose(out);
    buf_add(&b, text, len);
    free(text);
    assert_int_equal(config_json(&b, config), 0);
    return b;
}

static void comes_back_at_its_place(void **state)
{
    struct config *config = load(), *again = NULL;
    _cleanup_buf_ struct buf before = seen(config);
    (void)state;
    _cleanup_close_ int fd = config_image_write(config);
    assert_true(fd >= 0);
    _cleanup_buf_ struct buf meanwhile = seen(config);
    assert_string_equal(before.data, meanwhile.data);
    config_unref(config);
    assert_int_equal(config_image_map(fd, &again), 0);
    _cleanup_buf_ struct buf after = seen(again);
    assert_string_equal(before.data, after.data);
    assert_int_equal(again->n_groups, PROGRAMS - 1 + 2);
    config_unref(again);
    assert_int_equal(config_image_map(fd, &again), 0); /* all of its place was given back */
    config_unref(again);
}

/* What only listeners and fcgi programs have is their own, not what lies at its place in a group. */
static void special_groups(void **state)
{
    struct config *config = load();
    _cleanup_buf_ struct buf b = seen(config);
    (void)state;
    assert_non_null(strstr(b.data, "\"buffer_size\":3"));
    assert_non_null(strstr(b.data, "\"events\":\"PROCESS_STATE,TICK_5\""));
    assert_non_null(strstr(b.data, "\"socket\":\"unix:///f.sock\""));
    config_unref(config);
}

static void a_place_that_is_taken(void **state)
{
    struct config *config = load(), *again = NULL;
    (void)state;
    _cleanup_close_ int fd = config_image_write(config);
    assert_int_equal(config_image_map(fd, &again), -ESTALE);
    assert_null(again);
    _cleanup_buf_ struct buf unharmed = seen(config);
    assert_true(unharmed.len > 0);
    config_unref(config);
}

/* The same bytes, but for one; or fewer. */
static int spoilt(int image, off_t at, off_t len)
{
    static char bytes[8 << 20];
    ssize_t n = pread(image, bytes, sizeof(bytes), 0);
    int fd = memfd_create("spoilt", MFD_CLOEXEC);
    assert_true(n > 0 && n < (ssize_t)sizeof(bytes) && fd >= 0);
    if (at >= 0)
        bytes[at] ^= 1;
    assert_int_equal(write(fd, bytes, len > 0 ? (size_t)len : (size_t)n), len > 0 ? len : n);
    return fd;
}

static void what_is_refused(void **state)
{
    static const struct {
        off_t at, len;
        int error;
    } cases[] = {
        { 0, 0, -EBADMSG }, { 8, 0, -ESTALE }, { -1, 1, -EBADMSG }, { -1, 600, -EBADMSG }, { -1, 9000, -EBADMSG }
    };
    struct config *config = load(), *again = NULL;
    (void)state;
    _cleanup_close_ int fd = config_image_write(config);
    config_unref(config);
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_close_ int other = spoilt(fd, cases[i].at, cases[i].len);
        assert_int_equal(config_image_map(other, &again), cases[i].error);
        assert_null(again);
    }
}

/* Nobody can spoil what the next one maps. */
static void is_sealed(void **state)
{
    struct config *config = load();
    (void)state;
    _cleanup_close_ int fd = config_image_write(config);
    assert_int_equal(pwrite(fd, "x", 1, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, 0), -1);
    config_unref(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_at_its_place),
        cmocka_unit_test(special_groups),
        cmocka_unit_test(a_place_that_is_taken),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(is_sealed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
