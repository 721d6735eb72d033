# Unit programs of the layer "aws". Each is four lines:
#   check_PROGRAMS += t/unit/test_thing
#   t_unit_test_thing_SOURCES = t/unit/test_thing.c
#   t_unit_test_thing_CPPFLAGS = $(KF_TEST_CPPFLAGS_AWS)
#   t_unit_test_thing_LDADD = $(KF_TEST_LDADD_AWS)

check_PROGRAMS += t/unit/test_call
t_unit_test_call_SOURCES = t/unit/test_call.c
t_unit_test_call_CPPFLAGS = $(KF_TEST_CPPFLAGS_AWS)
t_unit_test_call_LDADD = $(KF_TEST_LDADD_AWS)

check_PROGRAMS += t/unit/test_class
t_unit_test_class_SOURCES = t/unit/test_class.c
t_unit_test_class_CPPFLAGS = $(KF_TEST_CPPFLAGS_AWS)
t_unit_test_class_LDADD = $(KF_TEST_LDADD_AWS)

kf_creds_fixture = t/unit/creds_fixture.c t/unit/creds_fixture.h t/unit/temp_store.h \
	t/unit/fake_http.c t/unit/fake_http.h

check_PROGRAMS += t/unit/test_creds
t_unit_test_creds_SOURCES = t/unit/test_creds.c $(kf_creds_fixture) t/unit/patience.h
t_unit_test_creds_CPPFLAGS = $(KF_TEST_CPPFLAGS_AWS)
t_unit_test_creds_LDADD = $(KF_TEST_LDADD_AWS)
t_unit_test_creds_LDFLAGS = $(AM_LDFLAGS) -pthread

check_PROGRAMS += t/unit/test_creds_chain
t_unit_test_creds_chain_SOURCES = t/unit/test_creds_chain.c $(kf_creds_fixture)
t_unit_test_creds_chain_CPPFLAGS = $(KF_TEST_CPPFLAGS_AWS)
t_unit_test_creds_chain_LDADD = $(KF_TEST_LDADD_AWS)
t_unit_test_creds_chain_LDFLAGS = $(AM_LDFLAGS) -pthread

check_PROGRAMS += t/unit/test_creds_no_program
t_unit_test_creds_no_program_SOURCES = t/unit/test_creds_no_program.c
t_unit_test_creds_no_program_CPPFLAGS = $(KF_TEST_CPPFLAGS_AWS)
t_unit_test_creds_no_program_LDADD = $(KF_TEST_LDADD_AWS)

check_PROGRAMS += t/unit/test_creds_reply
t_unit_test_creds_reply_SOURCES = t/unit/test_creds_reply.c
t_unit_test_creds_reply_CPPFLAGS = $(KF_TEST_CPPFLAGS_AWS)
t_unit_test_creds_reply_LDADD = $(KF_TEST_LDADD_AWS)

check_PROGRAMS += t/unit/test_http
t_unit_test_http_SOURCES = t/unit/test_http.c t/unit/patience.h
t_unit_test_http_CPPFLAGS = $(KF_TEST_CPPFLAGS_AWS)
# It speaks TLS itself, and looks behind the C library's name resolution.
t_unit_test_http_LDADD = $(KF_TEST_LDADD_AWS) -lssl -ldl
t_unit_test_http_LDFLAGS = $(AM_LDFLAGS) -pthread

check_PROGRAMS += t/unit/test_ini
t_unit_test_ini_SOURCES = t/unit/test_ini.c
t_unit_test_ini_CPPFLAGS = $(KF_TEST_CPPFLAGS_AWS)
t_unit_test_ini_LDADD = $(KF_TEST_LDADD_AWS)

check_PROGRAMS += t/unit/test_retry
t_unit_test_retry_SOURCES = t/unit/test_retry.c
t_unit_test_retry_CPPFLAGS = $(KF_TEST_CPPFLAGS_AWS)
t_unit_test_retry_LDADD = $(KF_TEST_LDADD_AWS)

check_PROGRAMS += t/unit/test_sigv4
t_unit_test_sigv4_SOURCES = t/unit/test_sigv4.c
t_unit_test_sigv4_CPPFLAGS = $(KF_TEST_CPPFLAGS_AWS)
t_unit_test_sigv4_LDADD = $(KF_TEST_LDADD_AWS)

check_PROGRAMS += t/unit/test_target
t_unit_test_target_SOURCES = t/unit/test_target.c
t_unit_test_target_CPPFLAGS = $(KF_TEST_CPPFLAGS_AWS)
t_unit_test_target_LDADD = $(KF_TEST_LDADD_AWS)

# What t/oracle's pytest asks; by itself it is a test that asks itself.
check_PROGRAMS += t/oracle/kf_oracle
t_oracle_kf_oracle_SOURCES = t/oracle/kf_oracle.c
t_oracle_kf_oracle_CPPFLAGS = $(KF_TEST_CPPFLAGS_AWS)
t_oracle_kf_oracle_LDADD = $(KF_TEST_LDADD_AWS)

# The memory of the two lower layers fails on demand.
check_PROGRAMS += t/unit/test_no_memory
t_unit_test_no_memory_SOURCES = t/unit/test_no_memory.c
t_unit_test_no_memory_CPPFLAGS = $(KF_TEST_CPPFLAGS_AWS)
t_unit_test_no_memory_LDADD = $(KF_TEST_LDADD_AWS)
t_unit_test_no_memory_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=free
