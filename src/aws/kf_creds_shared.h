/* SPDX-License-Identifier: Apache-2.0
 *
 * Which shared AWS files and which profile a connection reads, and what that profile says of endpoints.
 * Opens files, asks no network. Any thread.
 */
#ifndef KF_CREDS_SHARED_H
#define KF_CREDS_SHARED_H

#include "aws/kf_creds_flight.h"
#include "aws/kf_creds_profile.h"

typedef struct {
    const char *profile; /* its name */
    bool is_named;       /* somebody named it, or a file by a directive: it has to be there */
} kf_creds_choice_t;

/** KinesisProfile, else AWS_PROFILE, else "default". */
kf_creds_choice_t kf_creds_choose_profile(const kf_settings_t *settings, const kf_creds_env_t *env);

/**
 * Reads KinesisCredentialsFile, else AWS_SHARED_CREDENTIALS_FILE, else ~/.aws/credentials, and so on.
 * @param files  for kf_creds_close_files, whatever is returned
 * @return KF_CREDS_FAILED after a note where one that somebody named, or that is there, can't be read
 */
kf_creds_result_t kf_creds_open_files(kf_creds_flight_t *flight, kf_creds_files_t *files);
/** Wipes and frees. */
void kf_creds_close_files(kf_creds_files_t *files);

/* What the profile says of endpoints, for configuration and STS; "" where it says nothing. Without
 * pointers: it is handed on between processes. */
typedef struct {
    char profile[128];
    char url[300];         /* not checked */
    char account_mode[32]; /* account_id_endpoint_mode */
    char account[16];      /* aws_account_id */
    char error[300];       /* the files can't be read: then all else is "" */
} kf_creds_endpoint_t;

/** Reads the files. @param service  "kinesis", "firehose", "sts" */
void kf_creds_read_endpoint(kf_creds_flight_t *flight, const char *service,
                            kf_creds_endpoint_t *out);

/** The same for one who has no search under way: with this process's environment and user. */
void kf_creds_look_for_endpoint(const kf_settings_t *settings, kf_creds_endpoint_t *out);

#endif
