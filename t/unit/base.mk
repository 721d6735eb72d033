# Unit programs of the layer "base". Each is four lines:
#   check_PROGRAMS += t/unit/test_thing
#   t_unit_test_thing_SOURCES = t/unit/test_thing.c
#   t_unit_test_thing_CPPFLAGS = $(KF_TEST_CPPFLAGS_BASE)
#   t_unit_test_thing_LDADD = $(KF_TEST_LDADD_BASE)

check_PROGRAMS += t/unit/test_base64
t_unit_test_base64_SOURCES = t/unit/test_base64.c
t_unit_test_base64_CPPFLAGS = $(KF_TEST_CPPFLAGS_BASE)
t_unit_test_base64_LDADD = $(KF_TEST_LDADD_BASE)

check_PROGRAMS += t/unit/test_base_buf
t_unit_test_base_buf_SOURCES = t/unit/test_base_buf.c
t_unit_test_base_buf_CPPFLAGS = $(KF_TEST_CPPFLAGS_BASE)
t_unit_test_base_buf_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=realloc
t_unit_test_base_buf_LDADD = $(KF_TEST_LDADD_BASE)

check_PROGRAMS += t/unit/test_base_clock
t_unit_test_base_clock_SOURCES = t/unit/test_base_clock.c
t_unit_test_base_clock_CPPFLAGS = $(KF_TEST_CPPFLAGS_BASE)
t_unit_test_base_clock_LDFLAGS = $(AM_LDFLAGS) -pthread
t_unit_test_base_clock_LDADD = $(KF_TEST_LDADD_BASE)

check_PROGRAMS += t/unit/test_crc32c
t_unit_test_crc32c_SOURCES = t/unit/test_crc32c.c
t_unit_test_crc32c_CPPFLAGS = $(KF_TEST_CPPFLAGS_BASE)
t_unit_test_crc32c_LDADD = $(KF_TEST_LDADD_BASE)

check_PROGRAMS += t/unit/test_base_log
t_unit_test_base_log_SOURCES = t/unit/test_base_log.c
t_unit_test_base_log_CPPFLAGS = $(KF_TEST_CPPFLAGS_BASE)
t_unit_test_base_log_LDADD = $(KF_TEST_LDADD_BASE)

check_PROGRAMS += t/unit/test_base_parse
t_unit_test_base_parse_SOURCES = t/unit/test_base_parse.c
t_unit_test_base_parse_CPPFLAGS = $(KF_TEST_CPPFLAGS_BASE)
t_unit_test_base_parse_LDADD = $(KF_TEST_LDADD_BASE)

check_PROGRAMS += t/unit/test_base_syntax
t_unit_test_base_syntax_SOURCES = t/unit/test_base_syntax.c
t_unit_test_base_syntax_CPPFLAGS = $(KF_TEST_CPPFLAGS_BASE)
t_unit_test_base_syntax_LDADD = $(KF_TEST_LDADD_BASE)

check_PROGRAMS += t/unit/test_settings
t_unit_test_settings_SOURCES = t/unit/test_settings.c
t_unit_test_settings_CPPFLAGS = $(KF_TEST_CPPFLAGS_BASE)
t_unit_test_settings_LDADD = $(KF_TEST_LDADD_BASE)

# The scanner is of the layer "events" and needs nothing of it but itself.
check_PROGRAMS += t/unit/test_json
t_unit_test_json_SOURCES = t/unit/test_json.c t/unit/test_json_oracle.h
t_unit_test_json_CPPFLAGS = $(KF_TEST_CPPFLAGS_EVENTS)
t_unit_test_json_LDADD = $(KF_TEST_LDADD_EVENTS)

check_PROGRAMS += t/unit/test_json_portable
t_unit_test_json_portable_SOURCES = t/unit/test_json_portable.c
t_unit_test_json_portable_CPPFLAGS = $(KF_TEST_CPPFLAGS_EVENTS)
t_unit_test_json_portable_LDADD = $(KF_TEST_LDADD_EVENTS)

check_PROGRAMS += t/unit/test_json_oracle
t_unit_test_json_oracle_SOURCES = t/unit/test_json_oracle.c
t_unit_test_json_oracle_CPPFLAGS = $(KF_TEST_CPPFLAGS_EVENTS)
t_unit_test_json_oracle_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=realloc
t_unit_test_json_oracle_LDADD = $(KF_TEST_LDADD_EVENTS)

check_PROGRAMS += t/unit/test_spawn
t_unit_test_spawn_SOURCES = t/unit/test_spawn.c t/unit/patience.h
t_unit_test_spawn_CPPFLAGS = $(KF_TEST_CPPFLAGS_BASE)
t_unit_test_spawn_LDFLAGS = $(AM_LDFLAGS) -pthread
t_unit_test_spawn_LDADD = $(KF_TEST_LDADD_BASE)

check_PROGRAMS += t/unit/test_spawn_refused
t_unit_test_spawn_refused_SOURCES = t/unit/test_spawn_refused.c
t_unit_test_spawn_refused_CPPFLAGS = $(KF_TEST_CPPFLAGS_BASE)
t_unit_test_spawn_refused_LDADD = $(KF_TEST_LDADD_BASE)

# The same two with what older C libraries need.
check_PROGRAMS += t/unit/test_spawn_fallback
t_unit_test_spawn_fallback_SOURCES = t/unit/test_spawn.c src/base/kf_spawn.c t/unit/patience.h
t_unit_test_spawn_fallback_CPPFLAGS = $(KF_TEST_CPPFLAGS_BASE) -DKF_SPAWN_FALLBACK
t_unit_test_spawn_fallback_LDFLAGS = $(AM_LDFLAGS) -pthread
t_unit_test_spawn_fallback_LDADD = $(KF_TEST_LDADD_BASE)

check_PROGRAMS += t/unit/test_spawn_refused_fallback
t_unit_test_spawn_refused_fallback_SOURCES = t/unit/test_spawn_refused.c src/base/kf_spawn.c
t_unit_test_spawn_refused_fallback_CPPFLAGS = $(KF_TEST_CPPFLAGS_BASE) -DKF_SPAWN_FALLBACK
t_unit_test_spawn_refused_fallback_LDFLAGS = $(AM_LDFLAGS) -pthread
t_unit_test_spawn_refused_fallback_LDADD = $(KF_TEST_LDADD_BASE)
