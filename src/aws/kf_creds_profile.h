/* SPDX-License-Identifier: Apache-2.0
 *
 * The shared AWS files and what a profile in them says, read in place. Opens files, asks no network.
 * Which source a profile leads to is kf_creds_from_profile.c's. Any thread; one at a time an object.
 */
#ifndef KF_CREDS_PROFILE_H
#define KF_CREDS_PROFILE_H

#include "base/kf_buf.h"

/* Longer files are no such files. */
#define KF_CREDS_FILE_MAX ((size_t)1024 * 1024)

typedef struct {
    const char *path; /* NULL: there is none */
    kf_buf_t text;
    bool is_config; /* sections are [default] and [profile NAME] */
    bool is_there;
    bool others_read; /* its mode lets users read that are neither owner nor of the group */
} kf_creds_file_t;

typedef struct {
    kf_creds_file_t credentials, config;
} kf_creds_files_t;

/* Settings of a profile; views into the files, n == 0: not set. The credentials file wins. */
typedef struct {
    bool exists;
    kf_str_t access_key_id, secret_access_key, session_token;
    bool keys_in_config; /* where the secret stands */
    kf_str_t role_arn, role_session_name, external_id, duration_seconds, mfa_serial;
    kf_str_t source_profile, credential_source;
    kf_str_t web_identity_token_file, credential_process;
    kf_str_t sso; /* of the settings of AWS IAM Identity Center, or of aws login, any */
    kf_str_t services, endpoint_url, ignore_configured_endpoint_urls;
    kf_str_t account_id, account_id_endpoint_mode;
} kf_creds_profile_t;

/**
 * Reads a file.
 * @param path       NULL: as if it were not there
 * @param must       it must be there; else /dev/null counts as none too
 * @param[out] error "PATH: what is wrong", at most size bytes: it cannot be read, or line N is nothing
 *                   that belongs there; or it is the credentials file and others may read it
 * @return false with *error; kf_creds_file_free is due in any case
 */
bool kf_creds_file_read(kf_creds_file_t *file, const char *path, bool is_config, bool must,
                        char *error, size_t size);
/** Wipes and frees. */
void kf_creds_file_free(kf_creds_file_t *file);

/** What the files say of the profile of this name. */
void kf_creds_profile_read(const kf_creds_files_t *files, kf_str_t name, kf_creds_profile_t *out);

/**
 * The endpoint of a service: of the section [services NAME] that the profile names, else the profile's for
 * all services; none with ignore_configured_endpoint_urls = true.
 * @param service  as these sections have it: "kinesis", "firehose", "sts"
 * @return a view into the files; n == 0: none
 * Source: AWS SDKs reference, service-specific endpoints (2026); botocore 1.43.67.
 */
kf_str_t kf_creds_profile_endpoint(const kf_creds_files_t *files, const kf_creds_profile_t *profile,
                                   const char *service);

/**
 * Whether files that directives name can serve: for the check of a configuration.
 * @param credentials_file, config_file  or NULL
 * @param profile  or NULL: then none needs to be there
 * @return false with *error
 */
bool kf_creds_files_check(const char *credentials_file, const char *config_file,
                          const char *profile, char *error, size_t size);

#endif
