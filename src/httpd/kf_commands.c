/* SPDX-License-Identifier: Apache-2.0
 *
 * Directives into kf_config_t (kf_commands.h). Must not know what belongs together, nor open files.
 * Runs while the server reads its configuration, in every process that does.
 */
#include "httpd/kf_commands.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include "aws/kf_region.h"
#include "base/kf_syntax.h"
#include "events/kf_filter.h"
#include "httpd/kf_config.h"
#include "httpd/kf_module.h"

#define SECTION "<KinesisConnection>"
#define HIDDEN "********"

typedef struct {
    int n;
    const char *const *v;
} words_t;

/* As httpd splits a directive's arguments; RAW_ARGS, because its own splitting drops the 65th. */
static words_t split(apr_pool_t *pool, const char *args)
{
    apr_array_header_t *words = apr_array_make(pool, 4, sizeof(const char *));

    while (*args)
        APR_ARRAY_PUSH(words, const char *) = ap_getword_conf(pool, &args);
    return (words_t){words->nelts, (const char *const *)words->elts};
}

/*
 * What pages and dumps of the configuration read is the tree: a secret must not stay there. A proxy's
 * address may hold a password.
 */
static void hide(ap_directive_t *node, const kf_directive_t *d)
{
    if (d->kind == KF_KIND_SECRET || (d->check == KF_CHECK_PROXY && strchr(node->args, '@')))
        node->args = HIDDEN;
}

static kf_where_t where_is(apr_pool_t *pool, const ap_directive_t *node)
{
    return (kf_where_t){apr_pstrdup(pool, node->filename), node->line_num};
}

/* What values must be that lower layers know nothing of. */
static const char *check_value(apr_pool_t *pool, const kf_directive_t *d, words_t words)
{
    for (int i = 0; i < words.n; i++) {
        kf_str_t word = kf_str_of(words.v[i]);

        if (d->check == KF_CHECK_REGION && !kf_region_partition(word))
            return apr_psprintf(pool, "%s \"%s\": must be an AWS region such as us-east-1", d->name,
                                words.v[i]);
        if (d->check == KF_CHECK_IDENTITY && ap_cstr_casecmp(words.v[i], "none") != 0 &&
            !kf_filter_knows_identity(word))
            return apr_psprintf(pool,
                                "%s \"%s\": must be a user identity type or device id such as "
                                "email, customer_id or ios_idfv",
                                d->name, words.v[i]);
    }
    return NULL;
}

static const char *set_value(cmd_parms *cmd, void *settings, const kf_directive_t *d,
                             const char *args)
{
    words_t words = split(cmd->temp_pool, args);
    const char *error = kf_setting_set(cmd->pool, settings, d, words.n, words.v);

    return error ? error : check_value(cmd->pool, d, words);
}

/* A directive of connections: in the main server the default of all. */
static const char *set_in_section(cmd_parms *cmd, kf_section_t *section, const kf_directive_t *d,
                                  ap_directive_t *node)
{
    const char *args = node->args;

    hide(node, d);
    section->at[d - kf_directives] = where_is(cmd->pool, node);
    return set_value(cmd, section->set, d, args);
}

static const char *set_conn(cmd_parms *cmd, void *dir, const char *args)
{
    const kf_directive_t *d = kf_directive_find(cmd->cmd->name);
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)dir;
    (void)args;
    if (error) {
        hide(cmd->directive, d);
        return apr_pstrcat(cmd->pool, error, "; it stands in the main server or in " SECTION, NULL);
    }
    return set_in_section(cmd, &kf_config_current()->defaults, d, cmd->directive);
}

static const char *set_conn1(cmd_parms *cmd, void *dir, const char *args)
{
    (void)dir;
    (void)args;
    return apr_pstrcat(cmd->pool, cmd->cmd->name, " stands in " SECTION " only", NULL);
}

static const char *set_server(cmd_parms *cmd, void *dir, const char *args)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)dir;
    if (error)
        return apr_pstrcat(cmd->pool, error, "; it stands in the main server", NULL);
    return set_value(cmd, kf_config_current()->process_set, kf_directive_find(cmd->cmd->name),
                     args);
}

static const char *set_location(cmd_parms *cmd, void *dir_config, const char *args)
{
    const kf_directive_t *d = kf_directive_find(cmd->cmd->name);
    kf_dir_t *dir = dir_config;

    if (dir->empty) {
        dir->empty = false;
        dir->server = cmd->server;
        kf_config_add_dir(kf_config_current(), dir);
    }
    if (d->check == KF_CHECK_CONNECTION)
        dir->forward_at = where_is(cmd->pool, cmd->directive);
    return set_value(cmd, dir->set, d, args);
}

/* ---- <KinesisConnection> ---- */

#define NAME_MAX_BYTES 64
/* More letters that differ are another name. */
#define SLIPS_MAX 3

/* How many letters must be changed, put in or left out to make one name of the other. */
static size_t slips(const char *name, const char *other)
{
    size_t row[NAME_MAX_BYTES + 1], n = strlen(other);

    if (n > NAME_MAX_BYTES)
        return NAME_MAX_BYTES;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; name[i]; i++) {
        size_t before = row[0];

        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t change = before + (apr_tolower(name[i]) != apr_tolower(other[j]));

            before = row[j + 1];
            row[j + 1] = before < row[j] ? before + 1 : row[j] + 1;
            row[j + 1] = change < row[j + 1] ? change : row[j + 1];
        }
    }
    return row[n];
}

/* A directive that there is not, in words. */
static const char *unknown(apr_pool_t *pool, const char *name)
{
    const char *nearest = NULL;
    size_t least = SLIPS_MAX + 1;

    for (int i = 0; i < kf_directive_count; i++) {
        size_t n = slips(name, kf_directives[i].name);

        if (n < least) {
            least = n;
            nearest = kf_directives[i].name;
        }
    }
    return apr_pstrcat(pool, "there is no directive ", name, nearest ? "; is " : "",
                       nearest ? nearest : "", nearest ? " meant?" : "", NULL);
}

/* One directive inside a section. */
static const char *set_child(cmd_parms *cmd, kf_section_t *section, ap_directive_t *node)
{
    const kf_directive_t *d = kf_directive_find(node->directive);

    if (!d && ap_cstr_casecmpn(node->directive, "Kinesis", 7) == 0)
        return unknown(cmd->pool, node->directive);
    if (!d)
        return apr_pstrcat(cmd->pool, node->directive, *node->directive == '<' ? ">" : "",
                           " cannot stand in " SECTION
                           "; only connection directives of mod_kinesis_forward can",
                           NULL);
    if (d->scope == KF_SCOPE_SERVER)
        return apr_pstrcat(cmd->pool, d->name,
                           " cannot stand in " SECTION "; it stands in the main server", NULL);
    if (d->scope == KF_SCOPE_LOCATION)
        return apr_pstrcat(cmd->pool, d->name,
                           " cannot stand in " SECTION "; it stands in a location or virtual host",
                           NULL);
    return set_in_section(cmd, section, d, node);
}

static const char *walk_section(cmd_parms *cmd, kf_section_t *section)
{
    for (ap_directive_t *node = cmd->directive->first_child; node; node = node->next) {
        const char *error = set_child(cmd, section, node);

        if (error) {
            cmd->err_directive = node;
            return apr_psprintf(cmd->pool, "connection \"%s\" (%s:%d): %s", section->name,
                                section->where.file, section->where.line, error);
        }
    }
    return NULL;
}

/* The name between "<KinesisConnection" and ">". */
static const char *section_name(cmd_parms *cmd, const char *args, const char **name)
{
    const char *end = ap_strrchr_c(args, '>');
    words_t words;

    if (!end || end[1])
        return "<KinesisConnection> section is not closed by \">\"";
    words = split(cmd->temp_pool, apr_pstrmemdup(cmd->temp_pool, args, (apr_size_t)(end - args)));
    if (words.n != 1)
        return "<KinesisConnection> takes one argument: the connection's name";
    *name = words.v[0];
    if (!kf_syntax_fits(KF_CHECK_CONNECTION, kf_str_of(*name)))
        return apr_psprintf(cmd->pool, "<KinesisConnection> \"%s\": must be %s", *name,
                            kf_syntax_allowed(KF_CHECK_CONNECTION));
    return NULL;
}

static const char *define_connection(cmd_parms *cmd, void *dir, const char *args)
{
    kf_config_t *config = kf_config_current();
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    const char *name = NULL;
    kf_section_t *section;

    (void)dir;
    if (error)
        return apr_pstrcat(cmd->pool, error, "; connections are defined in the main server", NULL);
    error = section_name(cmd, args, &name);
    if (error)
        return error;
    section = kf_config_section(config, name);
    if (section)
        return apr_psprintf(cmd->pool,
                            "connection \"%s\" is defined twice: here (%s:%d) and at %s:%d; names "
                            "are global",
                            name, cmd->directive->filename, cmd->directive->line_num,
                            section->where.file, section->where.line);
    section = kf_config_add_section(config, name, where_is(cmd->pool, cmd->directive));
    if (!section)
        return "there are too many connections; at most 65536 can be defined";
    return walk_section(cmd, section);
}

#define SETTER_CONN set_conn
#define SETTER_CONN1 set_conn1
#define SETTER_SERVER set_server
#define SETTER_LOCATION set_location
#define WHERE_CONN RSRC_CONF
#define WHERE_CONN1 RSRC_CONF
#define WHERE_SERVER RSRC_CONF
#define WHERE_LOCATION (RSRC_CONF | ACCESS_CONF)

const command_rec kf_commands[] = {
    AP_INIT_RAW_ARGS("<KinesisConnection", define_connection, NULL, RSRC_CONF,
                     "A connection: its destination and filters, under a name"),
#define KF_DIRECTIVE(scope, kind, member, name, deflt, min, max, check, syntax, help) \
    AP_INIT_RAW_ARGS(name, SETTER_##scope, NULL, WHERE_##scope, help),
#include "base/kf_directives.def"
#undef KF_DIRECTIVE
    {.name = NULL},
};
