/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line program for dead letters, run as a user would: on stores made here, while another
 * process uses them too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/kf_log.h"
#include "base/kf_settings.h"
#include "delivery/kf_deadletters.h"
#include "delivery/kf_store.h"
#include "temp_store.h"

#define OUTPUT_MAX 20000
#define NOBODY 65534

static const char *const names[] = {"one", "two"};

typedef struct {
    char *top, store[400];
    kf_index_t *index;
    kf_deadletters_t *l;
} fixture_t;

static char output[OUTPUT_MAX];

/* Runs the program with arguments; what it writes, to either, is in output. @return its exit code */
static int run(const fixture_t *f, const char *arguments)
{
    const char *folder = getenv("KF_BUILDDIR");
    char command[1000];
    size_t n = 0;

    snprintf(command, sizeof command, "'%s/kinesis-forward-dlq' 2>&1 </dev/null --store '%s' %s",
             folder ? folder : ".", f->store, arguments);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    while (n < sizeof output - 1 && !feof(p))
        n += fread(output + n, 1, sizeof output - 1 - n, p);
    output[n] = '\0';
    int status = pclose(p);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

static void assert_says(const char *words)
{
    if (!strstr(output, words)) {
        print_message("\"%s\" does not say \"%s\"\n", output, words);
        fail();
    }
}

static void open_letters(fixture_t *f)
{
    kf_index_config_t config = {.directory = f->store, .durability = KF_DURABILITY_MEMORY};
    char error[KF_INDEX_ERROR_MAX];

    f->index = kf_index_open(&config, error);
    assert_non_null(f->index);
    f->l = kf_deadletters_open(f->index, names, 2);
    assert_non_null(f->l);
}

static void close_letters(fixture_t *f)
{
    kf_deadletters_close(f->l);
    kf_index_close(f->index);
    f->l = NULL;
    f->index = NULL;
}

static int set_up(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    char error[KF_STORE_ERROR_MAX];

    f->top = temp_make();
    snprintf(f->store, sizeof f->store, "%s/store", f->top);
    assert_true(kf_store_prepare(f->store, geteuid(), getegid(), error));
    *state = f;
    return 0;
}

static int set_up_open(void **state)
{
    set_up(state);
    open_letters(*state);
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;

    close_letters(f);
    temp_done(f->top);
    free(f);
    return 0;
}

static void add(kf_deadletters_t *l, uint16_t connection, kf_str_t data, const char *message)
{
    kf_record_t *r = kf_record_create(connection, KF_STR("key"), data);
    kf_dead_entry_t entry = {.record = r,
                             .reason = KF_DEAD_REFUSED,
                             .code = "SomeException",
                             .message = message,
                             .request_id = "r-1",
                             .failed_us = 1700000001234567};

    r->accepted_us = 1700000000000000;
    r->attempts = 2;
    r->events = 3;
    assert_int_equal(kf_deadletters_add(l, &entry, 1), KF_INDEX_OK);
    kf_record_free(r);
}

static void test_usage(void **state)
{
    static const char *const wrong[] = {"",
                                        "nothing",
                                        "--what list",
                                        "list 1",
                                        "show",
                                        "show x",
                                        "show 0",
                                        "show -1",
                                        "show 1 --all",
                                        "replay",
                                        "replay 1 --all",
                                        "replay --all --connection one",
                                        "discard --all",
                                        "discard 1x",
                                        "list --all",
                                        "list --limit 0",
                                        "list --after x",
                                        "list --limit 99999999999",
                                        "stats 1",
                                        "stats --connection one",
                                        "list --output x",
                                        "list --format raw",
                                        "export --format xml",
                                        "show 99999999999999999999",
                                        "stats --after 1"};
    fixture_t *f = *state;

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (run(f, wrong[i]) != 2) {
            print_message("\"%s\": %s\n", wrong[i], output);
            fail();
        }
        assert_true(output[0] != '\0');
    }
    assert_int_equal(run(f, "--help"), 0);
    assert_says("Exit status");
    assert_int_equal(run(f, "list --help"), 0);
    assert_int_equal(run(f, "--version"), 0);
    assert_says("kinesis-forward-dlq ");
}

static void test_no_store(void **state)
{
    fixture_t *f = *state;

    assert_int_equal(run(f, "list"), 0);
    assert_string_equal(output, "");
    assert_int_equal(run(f, "stats --json"), 0);
    assert_int_equal(run(f, "show 1"), 3);
    assert_says("no dead letters");
    assert_int_equal(run(f, "replay --all"), 3);
    temp_write(temp_in(f->store, "index.db"), "this is not a database, nor has it ever been one");
    assert_int_equal(run(f, "list"), 1);
    assert_says("left as it is");
    temp_remove(f->store);
    assert_int_equal(run(f, "list"), 1);
    assert_says("cannot use the store");
}

static void test_list(void **state)
{
    fixture_t *f = *state;

    add(f->l, 0, KF_STR("{\"a\":1}"), "why");
    add(f->l, 1, KF_STR("{\"b\":1}\n"), "");
    assert_int_equal(run(f, "list"), 0);
    assert_string_equal(
        output,
        "1  2023-11-14T22:13:21.234Z  one  refused  7 bytes  2 attempts  SomeException: why\n"
        "2  2023-11-14T22:13:21.234Z  two  refused  8 bytes  2 attempts  SomeException\n");
    assert_int_equal(run(f, "list --json --connection two"), 0);
    assert_string_equal(output,
                        "{\"id\":2,\"connection\":\"two\",\"reason\":\"refused\",\"code\":"
                        "\"SomeException\",\"message\":\"\",\"request_id\":\"r-1\",\"attempts\":2,"
                        "\"accepted\":\"2023-11-14T22:13:20.000Z\",\"failed\":"
                        "\"2023-11-14T22:13:21.234Z\",\"kind\":\"events\",\"events\":3,\"replay\":"
                        "false,\"bytes\":8}\n");
    assert_int_equal(run(f, "list --after 1 --limit 1"), 0);
    assert_true(output[0] == '2');
    assert_int_equal(run(f, "list --before 2"), 0);
    assert_true(output[0] == '1' && !strstr(output, "\n2"));
    assert_int_equal(run(f, "list --connection none"), 0);
    assert_string_equal(output, "");
    assert_int_equal(run(f, "stats"), 0);
    assert_string_equal(output,
                        "one  1 letters  0 marked  10 bytes  oldest 2023-11-14T22:13:21.234Z\n"
                        "two  1 letters  0 marked  11 bytes  oldest 2023-11-14T22:13:21.234Z\n");
    assert_int_equal(run(f, "stats --json"), 0);
    assert_says("{\"letters\":1,\"marked\":0,\"bytes\":10,\"oldest\":\"2023-11-14T22:13:21.234Z\","
                "\"connection\":\"one\"}\n");
    assert_int_equal(run(f, "show 2"), 0);
    assert_says("request id     r-1\n");
    assert_says("{\"b\":1}\\x0a\n");
    assert_int_equal(run(f, "show 1 --json"), 0);
    assert_says("\"partition_key\":\"key\",\"data\":\"{\\\"a\\\":1}\"}\n");
    assert_int_equal(run(f, "show 1 9"), 3);
}

/* Nothing of what was posted, or what AWS said, controls a terminal. */
static void test_terminal(void **state)
{
    fixture_t *f = *state;
    const char *const commands[] = {"list", "list --json", "show 1", "show 1 --json", "export"};
    static const char nasty[] = "\x1b[2J\r\n\0\x7f\xc2\x9b"
                                "31m\xe2\x80\xae \xff \xed\xa0\x80 "
                                "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"\\";

    add(f->l, 0, (kf_str_t){nasty, sizeof nasty - 1}, "\x1b[31m\xe2\x80\xaf\xe2\x81\xa6 \xc2\x85");
    add(f->l, 0, KF_STR("\xc3\xa4 \x1b \xc2\x9b \xe2\x80\xae \x7f"), "");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        assert_int_equal(run(f, commands[i]), 0);
        for (const char *p = output; *p; p++)
            assert_true(*p == '\n' || (unsigned char)*p >= 0x20);
        assert_null(strchr(output, 0x7f));
        assert_null(strstr(output, "\xc2\x9b"));
        assert_null(strstr(output, "\xc2\x85"));
        assert_null(strstr(output, "\xe2\x80\xae"));
        assert_null(strstr(output, "\xe2\x81\xa6"));
    }
    assert_int_equal(run(f, "show 1"), 0);
    assert_says("\\x1b[2J\\x0d\\x0a\\x00\\x7f\\xc2\\x9b31m\\xe2\\x80\\xae \\xff \\xed\\xa0\\x80 "
                "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"\\\n");
    /* What is no text goes as base64. */
    assert_int_equal(run(f, "show 1 --json"), 0);
    assert_says("\"data_base64\":\"G1sySg0KAH/CmzMxbeKAriD/IO2ggCDDpOKCrPCfmIAiXA==\"");
    assert_int_equal(run(f, "show 2 --json"), 0);
    assert_says("\"data\":\"\xc3\xa4 \\u001b \\u009b \\u202e \\u007f\"");
}

static void test_export(void **state)
{
    fixture_t *f = *state;
    char arguments[700], text[100] = "";

    add(f->l, 0, KF_STR("{\"a\":1}"), "");
    add(f->l, 0, KF_STR("{\"b\":1}\n"), "");
    add(f->l, 1, KF_STR(""), "");
    assert_int_equal(run(f, "export --format raw"), 0);
    assert_string_equal(output, "{\"a\":1}\n{\"b\":1}\n\n");
    assert_int_equal(run(f, "export --connection one --limit 1"), 0);
    assert_says("\"data\":\"{\\\"a\\\":1}\"}\n");
    snprintf(arguments, sizeof arguments, "export --format raw --connection one --output '%s'",
             temp_in(f->top, "out"));
    assert_int_equal(run(f, arguments), 0);
    assert_string_equal(output, "");
    int fd = open(temp_in(f->top, "out"), O_RDONLY);
    struct stat info;
    assert_int_equal(fstat(fd, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    close(fd);
    assert_string_equal(text, "{\"a\":1}\n{\"b\":1}\n");
    /* Never over a file that is there. */
    assert_int_equal(run(f, arguments), 1);
    assert_says("cannot make");
    assert_int_equal(run(f, "export >/dev/full"), 1);
}

/* More than a page of letters, and letters larger than a page. */
static void test_pages(void **state)
{
    fixture_t *f = *state;
    kf_record_t *small = kf_record_create(0, KF_STR("k"), KF_STR("d"));
    kf_dead_entry_t entries[450];
    size_t lines = 0;

    for (int i = 0; i < 450; i++)
        entries[i] = (kf_dead_entry_t){.record = small, .reason = KF_DEAD_TOO_OLD};
    assert_int_equal(kf_deadletters_add(f->l, entries, 450), KF_INDEX_OK);
    kf_record_free(small);
    assert_int_equal(run(f, "export --format raw | wc -l"), 0);
    assert_int_equal(atoi(output), 450);
    assert_int_equal(run(f, "list --limit 250 | wc -l"), 0);
    assert_int_equal(atoi(output), 250);
    for (int i = 0; i < 6; i++) {
        kf_record_t *large = kf_record_new(1, 0, 1000000);
        memset(large->bytes, 'x', 1000000);
        entries[i].record = large;
    }
    assert_int_equal(kf_deadletters_add(f->l, entries, 6), KF_INDEX_OK);
    for (int i = 0; i < 6; i++)
        kf_record_free((kf_record_t *)(uintptr_t)entries[i].record);
    assert_int_equal(run(f, "export --format raw --connection two | wc -c"), 0);
    lines = (size_t)atoi(output);
    assert_int_equal(lines, 6 * 1000001);
}

static void test_changes(void **state)
{
    fixture_t *f = *state;

    for (int i = 0; i < 4; i++)
        add(f->l, i == 3, KF_STR("x"), "");
    assert_int_equal(run(f, "replay 1 2"), 0);
    assert_string_equal(output, "2 letters marked to be sent again\n");
    assert_int_equal(run(f, "list"), 0);
    assert_says("refused (replay)");
    assert_int_equal(run(f, "discard 3"), 0);
    assert_string_equal(output, "1 letter discarded\n");
    assert_int_equal(run(f, "discard 3"), 3);
    assert_string_equal(output, "0 letters discarded\n");
    assert_int_equal(run(f, "replay --connection two"), 0);
    assert_int_equal(run(f, "stats"), 0);
    assert_says("one  2 letters  2 marked");
    assert_says("two  1 letters  1 marked");
    assert_int_equal(run(f, "discard --connection none"), 3);
    assert_int_equal(run(f, "discard --connection one"), 0);
    assert_int_equal(run(f, "discard --all --yes"), 0);
    assert_string_equal(output, "1 letter discarded\n");
    assert_int_equal(run(f, "list"), 0);
    assert_string_equal(output, "");
}

/* As root, on the store of a user with fewer rights: every file stays that user's. */
static void test_owner(void **state)
{
    fixture_t *f = *state;
    static const char *const files[] = {"index.db", "index.db-wal", "index.db-shm"};
    char error[KF_STORE_ERROR_MAX];
    struct stat info;
    int ready[2], hold[2];
    char byte;

    if (geteuid() != 0) {
        /* cmocka's skip() counts as a failure in TAP. */
        print_message("# only root can give files away\n");
        return;
    }
    temp_remove(f->store);
    chmod(f->top, 0755);
    assert_true(kf_store_prepare(f->store, NOBODY, NOBODY, error));
    assert_int_equal(pipe(ready) | pipe(hold), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(hold[1]);
        if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
            _exit(1);
        open_letters(f);
        add(f->l, 0, KF_STR("x"), "");
        /* The last to close removes the log: the program comes after that. */
        close_letters(f);
        if (write(ready[1], "x", 1) != 1 || read(hold[0], &byte, 1) != 0)
            _exit(2);
        open_letters(f);
        add(f->l, 0, KF_STR("y"), "");
        close_letters(f);
        _exit(0);
    }
    close(hold[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(run(f, "replay 1"), 0);
    for (size_t i = 0; i < 3; i++)
        if (stat(temp_in(f->store, files[i]), &info) == 0)
            assert_int_equal(info.st_uid, NOBODY);
    close(hold[1]);
    assert_int_equal(temp_wait(pid), 0);
    assert_int_equal(run(f, "stats"), 0);
    assert_says("one  2 letters  1 marked");
    close(ready[0]);
    close(ready[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_usage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_store, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_list, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_terminal, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_export, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_pages, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_changes, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_owner, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("dlq", tests, NULL, NULL);
}
