# Fuzz targets. Each is four lines, and a folder t/fuzz/corpus/thing/ (fuzz_check.h for those that check):
#   kf_fuzz_targets += t/fuzz/fuzz_thing
#   t_fuzz_fuzz_thing_SOURCES = t/fuzz/fuzz_thing.c t/fuzz/fuzz_check.h $(kf_fuzz_main)
#   t_fuzz_fuzz_thing_CPPFLAGS = $(KF_TEST_CPPFLAGS_FUZZ)
#   t_fuzz_fuzz_thing_LDADD = $(KF_TEST_LDADD_FUZZ)

kf_fuzz_targets += t/fuzz/fuzz_json
t_fuzz_fuzz_json_SOURCES = t/fuzz/fuzz_json.c $(kf_fuzz_main)
t_fuzz_fuzz_json_CPPFLAGS = $(KF_TEST_CPPFLAGS_FUZZ)
t_fuzz_fuzz_json_LDADD = $(KF_TEST_LDADD_FUZZ)

kf_fuzz_targets += t/fuzz/fuzz_reply
t_fuzz_fuzz_reply_SOURCES = t/fuzz/fuzz_reply.c $(kf_fuzz_main)
t_fuzz_fuzz_reply_CPPFLAGS = $(KF_TEST_CPPFLAGS_FUZZ)
t_fuzz_fuzz_reply_LDADD = $(KF_TEST_LDADD_FUZZ)

kf_fuzz_targets += t/fuzz/fuzz_post
t_fuzz_fuzz_post_SOURCES = t/fuzz/fuzz_post.c t/fuzz/fuzz_check.h $(kf_fuzz_main)
t_fuzz_fuzz_post_CPPFLAGS = $(KF_TEST_CPPFLAGS_FUZZ)
t_fuzz_fuzz_post_LDADD = $(KF_TEST_LDADD_FUZZ)

kf_fuzz_targets += t/fuzz/fuzz_merge
t_fuzz_fuzz_merge_SOURCES = t/fuzz/fuzz_merge.c t/fuzz/fuzz_check.h $(kf_fuzz_main)
t_fuzz_fuzz_merge_CPPFLAGS = $(KF_TEST_CPPFLAGS_FUZZ)
t_fuzz_fuzz_merge_LDADD = $(KF_TEST_LDADD_FUZZ)

kf_fuzz_targets += t/fuzz/fuzz_segment
t_fuzz_fuzz_segment_SOURCES = t/fuzz/fuzz_segment.c $(kf_fuzz_main)
t_fuzz_fuzz_segment_CPPFLAGS = $(KF_TEST_CPPFLAGS_FUZZ)
t_fuzz_fuzz_segment_LDADD = $(KF_TEST_LDADD_FUZZ)

kf_fuzz_targets += t/fuzz/fuzz_creds_file
t_fuzz_fuzz_creds_file_SOURCES = t/fuzz/fuzz_creds_file.c $(kf_fuzz_main)
t_fuzz_fuzz_creds_file_CPPFLAGS = $(KF_TEST_CPPFLAGS_FUZZ)
t_fuzz_fuzz_creds_file_LDADD = $(KF_TEST_LDADD_FUZZ)

kf_fuzz_targets += t/fuzz/fuzz_creds_reply
t_fuzz_fuzz_creds_reply_SOURCES = t/fuzz/fuzz_creds_reply.c $(kf_fuzz_main)
t_fuzz_fuzz_creds_reply_CPPFLAGS = $(KF_TEST_CPPFLAGS_FUZZ)
t_fuzz_fuzz_creds_reply_LDADD = $(KF_TEST_LDADD_FUZZ)

kf_fuzz_targets += t/fuzz/fuzz_head
t_fuzz_fuzz_head_SOURCES = t/fuzz/fuzz_head.c t/fuzz/fuzz_check.h $(kf_fuzz_main)
t_fuzz_fuzz_head_CPPFLAGS = $(KF_TEST_CPPFLAGS_FUZZ)
t_fuzz_fuzz_head_LDADD = $(KF_TEST_LDADD_FUZZ)

kf_fuzz_targets += t/fuzz/fuzz_setting
t_fuzz_fuzz_setting_SOURCES = t/fuzz/fuzz_setting.c t/fuzz/fuzz_check.h $(kf_fuzz_main)
t_fuzz_fuzz_setting_CPPFLAGS = $(KF_TEST_CPPFLAGS_FUZZ)
t_fuzz_fuzz_setting_LDADD = $(KF_TEST_LDADD_FUZZ)

kf_fuzz_targets += t/fuzz/fuzz_index
t_fuzz_fuzz_index_SOURCES = t/fuzz/fuzz_index.c t/fuzz/fuzz_check.h $(kf_fuzz_main)
t_fuzz_fuzz_index_CPPFLAGS = $(KF_TEST_CPPFLAGS_FUZZ)
t_fuzz_fuzz_index_LDADD = $(KF_TEST_LDADD_FUZZ)

kf_fuzz_targets += t/fuzz/fuzz_wal
t_fuzz_fuzz_wal_SOURCES = t/fuzz/fuzz_wal.c t/fuzz/fuzz_check.h $(kf_fuzz_main)
t_fuzz_fuzz_wal_CPPFLAGS = $(KF_TEST_CPPFLAGS_FUZZ)
t_fuzz_fuzz_wal_LDADD = $(KF_TEST_LDADD_FUZZ)
