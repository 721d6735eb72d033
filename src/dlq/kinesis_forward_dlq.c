/* SPDX-License-Identifier: Apache-2.0
 *
 * kinesis-forward-dlq: looks at the dead letters in a store, marks them to be sent again, discards
 * them. Works while httpd runs and while it doesn't. Knows neither httpd nor AWS; one thread.
 *
 * Started as root it becomes the owner of the store before it opens anything there, for good: files
 * that SQLite makes beside the index must stay usable for httpd's children.
 *
 * No list is held in the index while it is written out: a pager that stands still would keep the
 * index's log of changes growing.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/kf_buf.h"
#include "base/kf_clock.h"
#include "base/kf_settings.h"
#include "delivery/kf_deadletters.h"
#include "delivery/kf_store.h"

#define PROGRAM "kinesis-forward-dlq"
/* Letters read at once, and bytes of them when their data is read too. */
#define PAGE_LETTERS 200
#define PAGE_BYTES ((size_t)4 * 1024 * 1024)

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOTHING = 3 };

typedef enum { FORM_TEXT, FORM_JSON, FORM_RAW } form_t;

typedef struct {
    const char *store, *connection, *output;
    form_t form;
    bool all, yes;
    int64_t after, before;
    uint32_t limit;
    int64_t *ids;
    uint32_t id_count;
} options_t;

typedef struct {
    options_t options;
    FILE *out;
    kf_index_t *index;
    kf_deadletters_t *letters;
} program_t;

typedef int command_fn(program_t *p);

static const char usage[] =
    "Usage: " PROGRAM " [--store DIR] COMMAND\n"
    "\n"
    "Dead letters of mod_kinesis_forward: records that AWS would not take.\n"
    "\n"
    "Commands\n"
    "  list     one line a letter, oldest first\n"
    "  show ID  everything about a letter, its data included\n"
    "  export   the data of letters; they stay\n"
    "  replay   mark letters, so that httpd sends them again (at once if it runs)\n"
    "  discard  remove letters for good\n"
    "  stats    letters and bytes of each connection\n"
    "\n"
    "Which letters\n"
    "  ID...              show, replay, discard: these\n"
    "  --connection NAME  those of a connection\n"
    "  --all              replay, discard: all; discard wants --yes too\n"
    "  --after ID, --before ID, --limit N   list, export: a part\n"
    "\n"
    "Output\n"
    "  --json             list, show, stats: JSON, one object a line\n"
    "  --format raw|json  export: the data as it would have been sent, each followed by a line\n"
    "                     break unless it ends with one (not to a terminal), or JSON, one object\n"
    "                     a line (the default)\n"
    "  --output FILE      export: into a new file of mode 0600\n"
    "\n"
    "  --store DIR        KinesisStoreDirectory [" KF_STATEDIR "]\n"
    "  --yes              do discard all\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 done, 1 the store could not be used, 2 wrong usage, 3 no such letter.\n"
    "To be run as root or as the user that httpd's children run as.\n";

static int complain(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int complain(int status, const char *format, ...)
{
    va_list args;

    fputs(PROGRAM ": ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return status;
}

/* ---- texts ---- */

/* Bytes of the UTF-8 character at p, 0 if there is none. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    unsigned code = p[0] & (length == 1 ? 0x7f : 0xffU >> (length + 1));

    if (length == 0 || length > n || p[0] > 0xf4) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (p[i] & 0x3f);
    }
    return code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0
                                                                                        : length;
}

static bool is_utf8(kf_str_t s)
{
    for (size_t i = 0, length; i < s.n; i += length) {
        length = utf8_length((const unsigned char *)s.p + i, s.n - i);
        if (length == 0) {
            return false;
        }
    }
    return true;
}

/* What could make a terminal do something, or show lines in another order than they are: controls of
 * either set, and those of writing direction. */
static bool is_control(const unsigned char *p, size_t length)
{
    if (length == 1) {
        return p[0] < 0x20 || p[0] == 0x7f;
    }
    if (length == 2) {
        return p[0] == 0xc2 && p[1] < 0xa0;
    }
    return length == 3 && p[0] == 0xe2 &&
           ((p[1] == 0x80 && (p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae))) ||
            (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
}

/* Appends text that is harmless on a terminal: the rest as \xNN. */
static void put_plain(kf_buf_t *b, kf_str_t s)
{
    for (size_t i = 0; i < s.n;) {
        const unsigned char *p = (const unsigned char *)s.p + i;
        size_t length = utf8_length(p, s.n - i);
        if (length > 0 && !is_control(p, length)) {
            kf_buf_put(b, p, length);
        } else {
            length = length ? length : 1;
            for (size_t k = 0; k < length; k++) {
                kf_buf_printf(b, "\\x%02x", p[k]);
            }
        }
        i += length;
    }
}

static void put_time(kf_buf_t *b, int64_t us)
{
    time_t seconds = (time_t)(us / KF_SEC);
    struct tm tm;
    char text[40];

    if (gmtime_r(&seconds, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) > 0) {
        kf_buf_printf(b, "%s.%03dZ", text, (int)(us % KF_SEC / KF_MS));
    }
}

/* Appends a JSON string. Stricter than JSON asks for: nothing in it controls a terminal either. */
static void put_string(kf_buf_t *b, kf_str_t s)
{
    kf_buf_putc(b, '"');
    for (size_t i = 0, length; i < s.n; i += length) {
        const unsigned char *p = (const unsigned char *)s.p + i;
        length = utf8_length(p, s.n - i);
        if (length == 1 && (p[0] == '"' || p[0] == '\\')) {
            kf_buf_printf(b, "\\%c", p[0]);
        } else if (!is_control(p, length)) {
            kf_buf_put(b, p, length);
        } else if (length == 1) {
            kf_buf_printf(b, "\\u%04x", p[0]);
        } else if (length == 2) {
            kf_buf_printf(b, "\\u%04x", (p[0] & 0x1fU) << 6 | (p[1] & 0x3fU));
        } else {
            kf_buf_printf(b, "\\u%04x", (p[0] & 0xfU) << 12 | (p[1] & 0x3fU) << 6 | (p[2] & 0x3fU));
        }
    }
    kf_buf_putc(b, '"');
}

/* A member of an object, after others: any bytes, as base64 where they are no text. */
static void put_member(kf_buf_t *b, const char *name, kf_str_t value)
{
    if (is_utf8(value)) {
        kf_buf_printf(b, ",\"%s\":", name);
        put_string(b, value);
    } else {
        kf_buf_printf(b, ",\"%s_base64\":\"", name);
        kf_buf_put_base64(b, value.p, value.n);
        kf_buf_putc(b, '"');
    }
}

static void put_json(kf_buf_t *b, const kf_dead_letter_t *l, bool with_data)
{
    kf_buf_printf(b, "{\"id\":%" PRId64, l->id);
    put_member(b, "connection", kf_str_of(l->connection));
    put_member(b, "reason", kf_str_of(l->reason));
    put_member(b, "code", kf_str_of(l->code));
    put_member(b, "message", kf_str_of(l->message));
    put_member(b, "request_id", kf_str_of(l->request_id));
    kf_buf_printf(b, ",\"attempts\":%" PRIu32 ",\"accepted\":\"", l->attempts);
    put_time(b, l->accepted_us);
    kf_buf_printf(b, "\",\"failed\":\"");
    put_time(b, l->failed_us);
    kf_buf_printf(b, "\",\"kind\":\"%s\",\"events\":%" PRIu32 ",\"replay\":%s,\"bytes\":%" PRIu64,
                  l->kind == KF_RECORD_AUDIENCE ? "audience" : "events", l->events,
                  l->replay ? "true" : "false", l->data_bytes);
    if (with_data) {
        put_member(b, "partition_key", l->key);
        put_member(b, "data", l->data);
    }
    kf_buf_printf(b, "}\n");
}

/* ---- reading letters, a page at a time ---- */

typedef struct {
    form_t form;
    kf_buf_t text;
    int64_t last;
    uint32_t count;
} page_t;

static void put_line(kf_buf_t *b, const kf_dead_letter_t *l)
{
    kf_buf_printf(b, "%" PRId64 "  ", l->id);
    put_time(b, l->failed_us);
    kf_buf_printf(b, "  ");
    put_plain(b, kf_str_of(l->connection));
    kf_buf_printf(b, "  %s%s  %" PRIu64 " bytes  %" PRIu32 " attempts", l->reason,
                  l->replay ? " (replay)" : "", l->data_bytes, l->attempts);
    if (l->code[0]) {
        kf_buf_printf(b, "  ");
        put_plain(b, kf_str_of(l->code));
    }
    if (l->message[0]) {
        kf_buf_printf(b, ": ");
        put_plain(b, kf_str_of(l->message));
    }
    kf_buf_putc(b, '\n');
}

static bool list_one(void *context, const kf_dead_letter_t *l)
{
    page_t *page = context;

    if (page->form == FORM_JSON) {
        put_json(&page->text, l, false);
    } else {
        put_line(&page->text, l);
    }
    page->last = l->id;
    page->count++;
    return true;
}

static bool export_one(void *context, const kf_dead_letter_t *l)
{
    page_t *page = context;

    if (page->form == FORM_RAW) {
        kf_buf_put_str(&page->text, l->data);
        if (l->data.n == 0 || l->data.p[l->data.n - 1] != '\n') {
            kf_buf_putc(&page->text, '\n');
        }
    } else {
        put_json(&page->text, l, true);
    }
    page->last = l->id;
    page->count++;
    return page->text.n < PAGE_BYTES;
}

static int cannot(kf_index_result_t result, const char *what)
{
    static const char *const why[] = {
        [KF_INDEX_OK] = "",
        [KF_INDEX_NONE] = "there is no such letter",
        [KF_INDEX_FULL] = "disk or memory is full",
        [KF_INDEX_BUSY] = "another process writes to the index for too long, try again",
        [KF_INDEX_FAILED] = "the index could not be used",
    };

    return complain(result == KF_INDEX_NONE ? EXIT_NOTHING : EXIT_FAILED, "cannot %s: %s", what,
                    why[result]);
}

static int cannot_write(void)
{
    return complain(EXIT_FAILED, "cannot write the output: %s", strerror(errno));
}

static bool write_out(program_t *p, const kf_buf_t *text)
{
    return text->n == 0 || fwrite(text->p, 1, text->n, p->out) == text->n;
}

static int read_pages(program_t *p, kf_dead_letter_fn *fn, bool with_data)
{
    const options_t *o = &p->options;
    page_t page = {.form = o->form, .last = o->after};
    uint32_t left = o->limit > 0 ? o->limit : UINT32_MAX;
    int status = EXIT_DONE;

    kf_buf_init(&page.text, SIZE_MAX);
    do {
        kf_dead_filter_t filter = {.connection = o->connection,
                                   .after = page.last,
                                   .before = o->before,
                                   .limit = left < PAGE_LETTERS ? left : PAGE_LETTERS,
                                   .with_data = with_data};
        kf_buf_clear(&page.text);
        page.count = 0;
        kf_index_result_t result = kf_deadletters_list(p->letters, &filter, fn, &page);
        if (result != KF_INDEX_OK || page.text.failed) {
            status = cannot(result == KF_INDEX_OK ? KF_INDEX_FULL : result, "read");
        } else if (!write_out(p, &page.text)) {
            status = cannot_write();
        }
        left -= page.count;
    } while (status == EXIT_DONE && page.count > 0 && left > 0);
    kf_buf_free(&page.text);
    return status;
}

/* ---- commands ---- */

static int list(program_t *p)
{
    return read_pages(p, list_one, false);
}

static int export(program_t *p)
{
    return read_pages(p, export_one, true);
}

static bool show_one(void *context, const kf_dead_letter_t *l)
{
    page_t *page = context;
    kf_buf_t *b = &page->text;

    if (page->form == FORM_JSON) {
        put_json(b, l, true);
        return true;
    }
    kf_buf_printf(b, "id             %" PRId64 "\nconnection     ", l->id);
    put_plain(b, kf_str_of(l->connection));
    kf_buf_printf(b, "\nreason         %s\ncode           ", l->reason);
    put_plain(b, kf_str_of(l->code));
    kf_buf_printf(b, "\nmessage        ");
    put_plain(b, kf_str_of(l->message));
    kf_buf_printf(b, "\nrequest id     ");
    put_plain(b, kf_str_of(l->request_id));
    kf_buf_printf(b, "\nattempts       %" PRIu32 "\naccepted       ", l->attempts);
    put_time(b, l->accepted_us);
    kf_buf_printf(b, "\nfailed         ");
    put_time(b, l->failed_us);
    kf_buf_printf(b, "\nkind           %s\nevents         %" PRIu32 "\nreplay         %s\n",
                  l->kind == KF_RECORD_AUDIENCE ? "audience" : "events", l->events,
                  l->replay ? "marked" : "no");
    kf_buf_printf(b, "partition key  ");
    put_plain(b, l->key);
    kf_buf_printf(b, "\nbytes          %" PRIu64 "\n\n", l->data_bytes);
    put_plain(b, l->data);
    kf_buf_putc(b, '\n');
    return true;
}

static int show(program_t *p)
{
    page_t page = {.form = p->options.form};
    int status = EXIT_DONE;

    kf_buf_init(&page.text, SIZE_MAX);
    for (uint32_t i = 0; i < p->options.id_count && status == EXIT_DONE; i++) {
        kf_buf_clear(&page.text);
        kf_index_result_t result =
            kf_deadletters_get(p->letters, p->options.ids[i], show_one, &page);
        if (result != KF_INDEX_OK || page.text.failed) {
            status = cannot(result == KF_INDEX_OK ? KF_INDEX_FULL : result, "show");
        } else if (!write_out(p, &page.text)) {
            status = cannot_write();
        }
    }
    kf_buf_free(&page.text);
    return status;
}

typedef kf_index_result_t change_fn(kf_deadletters_t *letters, const kf_dead_selection_t *selection,
                                    uint64_t *n);

static int change(program_t *p, change_fn *fn, const char *what, const char *done)
{
    const options_t *o = &p->options;
    kf_dead_selection_t selection = {
        .ids = o->ids, .id_count = o->id_count, .connection = o->connection, .all = o->all};
    uint64_t n = 0;
    kf_index_result_t result = fn(p->letters, &selection, &n);

    fprintf(p->out, "%" PRIu64 " letter%s %s\n", n, n == 1 ? "" : "s", done);
    if (result != KF_INDEX_OK) {
        return cannot(result, what);
    }
    return n == 0 ? EXIT_NOTHING : EXIT_DONE;
}

static int replay(program_t *p)
{
    return change(p, kf_deadletters_mark, "mark", "marked to be sent again");
}

static int discard(program_t *p)
{
    return change(p, kf_deadletters_discard, "discard", "discarded");
}

static void stats_one(void *context, const kf_dead_totals_t *t)
{
    page_t *page = context;
    kf_buf_t *b = &page->text;

    if (page->form == FORM_JSON) {
        kf_buf_printf(
            b, "{\"letters\":%" PRIu64 ",\"marked\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"oldest\":",
            t->letters, t->marked, t->bytes);
        kf_buf_printf(b, t->oldest_us ? "\"" : "null");
        if (t->oldest_us) {
            put_time(b, t->oldest_us);
            kf_buf_putc(b, '"');
        }
        put_member(b, "connection", kf_str_of(t->connection));
        kf_buf_printf(b, "}\n");
        return;
    }
    put_plain(b, kf_str_of(t->connection));
    kf_buf_printf(b, "  %" PRIu64 " letters  %" PRIu64 " marked  %" PRIu64 " bytes", t->letters,
                  t->marked, t->bytes);
    if (t->oldest_us) {
        kf_buf_printf(b, "  oldest ");
        put_time(b, t->oldest_us);
    }
    kf_buf_putc(b, '\n');
}

static int stats(program_t *p)
{
    page_t page = {.form = p->options.form};
    int status = EXIT_DONE;

    kf_buf_init(&page.text, SIZE_MAX);
    kf_index_result_t result = kf_deadletters_totals(p->letters, stats_one, &page);
    if (result != KF_INDEX_OK || page.text.failed) {
        status = cannot(result == KF_INDEX_OK ? KF_INDEX_FULL : result, "read");
    } else if (!write_out(p, &page.text)) {
        status = cannot_write();
    }
    kf_buf_free(&page.text);
    return status;
}

/* ---- the command line ---- */

typedef struct {
    const char *name;
    command_fn *run;
    bool takes_ids, takes_all; /* else it reads */
    bool pages;                /* --after, --before, --limit */
} command_t;

static const command_t commands[] = {
    {"list", list, false, false, true},      {"show", show, true, false, false},
    {"export", export, false, false, true},  {"replay", replay, true, true, false},
    {"discard", discard, true, true, false}, {"stats", stats, false, false, false},
};

static const command_t *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static bool parse_number(const char *text, int64_t max, int64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoll(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *value > 0 &&
           *value <= max;
}

enum {
    STORE = 256,
    CONNECTION,
    ALL,
    YES,
    JSON,
    FORMAT,
    OUTPUT,
    AFTER,
    BEFORE,
    LIMIT,
    SHOW_HELP,
    SHOW_VERSION
};

static const struct option long_options[] = {
    {"store", required_argument, NULL, STORE},
    {"connection", required_argument, NULL, CONNECTION},
    {"all", no_argument, NULL, ALL},
    {"yes", no_argument, NULL, YES},
    {"json", no_argument, NULL, JSON},
    {"format", required_argument, NULL, FORMAT},
    {"output", required_argument, NULL, OUTPUT},
    {"after", required_argument, NULL, AFTER},
    {"before", required_argument, NULL, BEFORE},
    {"limit", required_argument, NULL, LIMIT},
    {"help", no_argument, NULL, SHOW_HELP},
    {"version", no_argument, NULL, SHOW_VERSION},
    {NULL, 0, NULL, 0},
};

/* @return false: complained */
static bool set_number(options_t *o, int option)
{
    int64_t n;

    if (!parse_number(optarg, option == LIMIT ? UINT32_MAX : INT64_MAX, &n)) {
        complain(EXIT_USAGE, "\"%s\" is no number of a letter, or no limit", optarg);
        return false;
    }
    if (option == LIMIT) {
        o->limit = (uint32_t)n;
    } else {
        *(option == AFTER ? &o->after : &o->before) = n;
    }
    return true;
}

static bool set_format(options_t *o)
{
    if (strcmp(optarg, "raw") == 0) {
        o->form = FORM_RAW;
    } else if (strcmp(optarg, "json") == 0) {
        o->form = FORM_JSON;
    } else {
        complain(EXIT_USAGE, "--format is raw or json");
        return false;
    }
    return true;
}

/* @return -1 to go on, else what to exit with */
static int set_option(options_t *o, int option)
{
    switch (option) {
    case STORE:
        o->store = optarg;
        return -1;
    case CONNECTION:
        o->connection = optarg;
        return -1;
    case OUTPUT:
        o->output = optarg;
        return -1;
    case ALL:
        o->all = true;
        return -1;
    case YES:
        o->yes = true;
        return -1;
    case JSON:
        o->form = FORM_JSON;
        return -1;
    case FORMAT:
        return set_format(o) ? -1 : EXIT_USAGE;
    case AFTER:
    case BEFORE:
    case LIMIT:
        return set_number(o, option) ? -1 : EXIT_USAGE;
    case SHOW_HELP:
        fputs(usage, stdout);
        return EXIT_DONE;
    case SHOW_VERSION:
        puts(PROGRAM " " KF_VERSION);
        return EXIT_DONE;
    default:
        return complain(EXIT_USAGE, "see " PROGRAM " --help");
    }
}

/* Ids after the command. @return -1, or what to exit with */
static int set_ids(options_t *o, char **words, int n)
{
    o->ids = calloc((size_t)n + 1, sizeof(*o->ids));
    if (!o->ids) {
        return complain(EXIT_FAILED, "out of memory");
    }
    for (int i = 0; i < n; i++) {
        if (!parse_number(words[i], INT64_MAX, &o->ids[o->id_count++])) {
            return complain(EXIT_USAGE, "\"%s\" is no number of a letter", words[i]);
        }
    }
    return -1;
}

/* What belongs together. @return -1, or what to exit with */
static int check(const options_t *o, const command_t *c)
{
    int ways = (o->id_count > 0) + (o->connection != NULL) + o->all;
    bool exports = c->run == export;

    if (o->id_count > 0 && !c->takes_ids) {
        return complain(EXIT_USAGE, "%s takes no numbers of letters", c->name);
    }
    if (c->takes_all && ways != 1) {
        return complain(EXIT_USAGE, "%s wants numbers of letters, --connection NAME or --all",
                        c->name);
    }
    if (c->takes_ids && !c->takes_all && (o->id_count == 0 || ways != 1)) {
        return complain(EXIT_USAGE, "%s wants the number of a letter", c->name);
    }
    if (!c->takes_all && (o->all || o->yes)) {
        return complain(EXIT_USAGE, "--all and --yes do not go with %s", c->name);
    }
    if ((o->after || o->before || o->limit) && !c->pages) {
        return complain(EXIT_USAGE, "--after, --before and --limit do not go with %s", c->name);
    }
    if (c->run == stats && o->connection) {
        return complain(EXIT_USAGE, "stats is of all connections");
    }
    if ((o->output || o->form == FORM_RAW) && !exports) {
        return complain(EXIT_USAGE, "--output and --format raw only go with export");
    }
    if (c->run == discard && o->all && !o->yes) {
        return complain(EXIT_USAGE,
                        "discard --all removes every dead letter for good: say --yes too");
    }
    if (exports && o->form == FORM_RAW && !o->output && isatty(STDOUT_FILENO)) {
        return complain(EXIT_USAGE, "raw data does not go to a terminal: use --output or a pipe");
    }
    return -1;
}

static int parse(options_t *o, int argc, char **argv, const command_t **command)
{
    int option, status = -1;

    while (status < 0 && (option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        status = set_option(o, option);
    }
    if (status >= 0) {
        return status;
    }
    if (optind >= argc) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    *command = find_command(argv[optind]);
    if (!*command) {
        return complain(EXIT_USAGE, "there is no command \"%s\"; see " PROGRAM " --help",
                        argv[optind]);
    }
    status = set_ids(o, argv + optind + 1, argc - optind - 1);
    return status < 0 ? check(o, *command) : status;
}

/* ---- the store ---- */

/* The output is root's where root asked for it; the index belongs to the store's owner. */
static int open_output(program_t *p)
{
    p->out = stdout;
    if (p->options.output) {
        int fd = open(p->options.output, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        p->out = fd < 0 ? NULL : fdopen(fd, "w");
        if (!p->out) {
            return complain(EXIT_FAILED, "cannot make %s: %s", p->options.output, strerror(errno));
        }
    }
    return -1;
}

static int become_owner(const char *store)
{
    struct stat info;

    if (stat(store, &info) != 0) {
        return complain(EXIT_FAILED, "cannot use the store %s: %s", store, strerror(errno));
    }
    if (geteuid() == 0 && info.st_uid != 0) {
        if (setgroups(1, &info.st_gid) != 0 || setgid(info.st_gid) != 0 ||
            setuid(info.st_uid) != 0) {
            return complain(EXIT_FAILED, "cannot become the owner of %s: %s", store,
                            strerror(errno));
        }
    } else if (geteuid() != info.st_uid) {
        return complain(EXIT_FAILED,
                        "the store %s belongs to another user (uid %lu): run this as that user, or "
                        "as root",
                        store, (unsigned long)info.st_uid);
    }
    return -1;
}

/* Before anything was ever kept there is no index, and so no letter. */
static bool is_empty(const char *store)
{
    char path[4096];
    struct stat info;
    int n = snprintf(path, sizeof(path), "%s/%s", store, KF_STORE_INDEX);

    return n > 0 && (size_t)n < sizeof(path) && stat(path, &info) != 0 && errno == ENOENT;
}

static int run(program_t *p, const command_t *command)
{
    const char *store = p->options.store;
    kf_index_config_t config = {
        .directory = store, .durability = KF_DURABILITY_DISK, .existing = true};
    char error[KF_INDEX_ERROR_MAX];

    if (is_empty(store)) {
        return command->takes_ids
                   ? complain(EXIT_NOTHING, "there are no dead letters in %s yet", store)
                   : EXIT_DONE;
    }
    p->index = kf_index_open(&config, error);
    if (!p->index) {
        return complain(EXIT_FAILED, "%s", error);
    }
    p->letters = kf_deadletters_open(p->index, NULL, 0);
    int status = p->letters ? command->run(p) : complain(EXIT_FAILED, "cannot use the index");
    kf_deadletters_close(p->letters);
    kf_index_close(p->index);
    return status;
}

int main(int argc, char **argv)
{
    program_t p = {.options = {.store = KF_STATEDIR, .form = FORM_TEXT}};
    const command_t *command = NULL;
    int status = parse(&p.options, argc, argv, &command);

    if (status < 0) {
        status = open_output(&p);
    }
    if (status < 0) {
        status = become_owner(p.options.store);
    }
    if (status < 0) {
        status = run(&p, command);
    }
    free(p.options.ids);
    if (p.out && fclose(p.out) != 0 && status == EXIT_DONE) {
        status = cannot_write();
    }
    return status;
}
