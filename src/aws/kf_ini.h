/* SPDX-License-Identifier: Apache-2.0
 *
 * The form of the shared AWS files (~/.aws/credentials, ~/.aws/config): sections of settings, read in
 * place. Knows no setting by name, opens no file. Pure; any thread.
 *
 * As the SDKs read them (SDK reference guide, "Shared config and credentials files", 2026): lines of
 * [section], name = value, comments after '#' or ';' at the start or after a blank; an indented line
 * below a setting without value is a part of that setting (s3 =, those of a services section).
 */
#ifndef KF_INI_H
#define KF_INI_H

#include "base/kf_str.h"

typedef struct {
    kf_str_t section; /* between the brackets, trimmed */
    kf_str_t part_of; /* the setting that this is a part of; n == 0: of none */
    kf_str_t name;    /* n == 0: the section's own line */
    kf_str_t value;   /* trimmed, without a comment; may be empty */
} kf_ini_item_t;

/** Called in the order of the file; all is within the text. */
typedef void kf_ini_fn(void *context, const kf_ini_item_t *item);

/**
 * @param text  a byte order mark and CRLF are taken
 * @return 0, or the number of the first line that is none of the above (1-based); what stands before it
 *         has been passed on
 */
int kf_ini_parse(kf_str_t text, kf_ini_fn *fn, void *context);

/** Whether a setting's name is this one, any case. */
bool kf_ini_is(kf_str_t name, const char *wanted);

#endif
