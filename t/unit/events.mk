# Unit programs of the layer "events". Each is four lines:
#   check_PROGRAMS += t/unit/test_thing
#   t_unit_test_thing_SOURCES = t/unit/test_thing.c
#   t_unit_test_thing_CPPFLAGS = $(KF_TEST_CPPFLAGS_EVENTS)
#   t_unit_test_thing_LDADD = $(KF_TEST_LDADD_EVENTS)

check_PROGRAMS += t/unit/test_post
t_unit_test_post_SOURCES = t/unit/test_post.c
t_unit_test_post_CPPFLAGS = $(KF_TEST_CPPFLAGS_EVENTS)
t_unit_test_post_LDADD = $(KF_TEST_LDADD_EVENTS)

check_PROGRAMS += t/unit/test_filter
t_unit_test_filter_SOURCES = t/unit/test_filter.c
t_unit_test_filter_CPPFLAGS = $(KF_TEST_CPPFLAGS_EVENTS)
t_unit_test_filter_LDADD = $(KF_TEST_LDADD_EVENTS)

check_PROGRAMS += t/unit/test_record
t_unit_test_record_SOURCES = t/unit/test_record.c
t_unit_test_record_CPPFLAGS = $(KF_TEST_CPPFLAGS_EVENTS)
t_unit_test_record_LDADD = $(KF_TEST_LDADD_EVENTS)

# Not a test: what t/model compares with its model. In check_SCRIPTS so that "make check" builds it
# before pytest asks for it, and no harness runs it.
EXTRA_PROGRAMS = t/model/kf_apply
check_SCRIPTS = t/model/kf_apply$(EXEEXT)
t_model_kf_apply_SOURCES = t/model/kf_apply.c
t_model_kf_apply_CPPFLAGS = $(KF_TEST_CPPFLAGS_EVENTS)
t_model_kf_apply_LDADD = $(kf_events_libs)

check_PROGRAMS += t/unit/test_session
t_unit_test_session_SOURCES = t/unit/test_session.c t/unit/kf_samples.h
t_unit_test_session_CPPFLAGS = $(KF_TEST_CPPFLAGS_EVENTS)
t_unit_test_session_LDADD = $(KF_TEST_LDADD_EVENTS)

# Memory that runs out is tried at each allocation of these two.
kf_refuse_ldflags = $(AM_LDFLAGS) -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc

check_PROGRAMS += t/unit/test_window_plan
t_unit_test_window_plan_SOURCES = t/unit/test_window_plan.c t/unit/kf_refuse.h t/unit/kf_samples.h
t_unit_test_window_plan_CPPFLAGS = $(KF_TEST_CPPFLAGS_EVENTS)
t_unit_test_window_plan_LDFLAGS = $(kf_refuse_ldflags)
t_unit_test_window_plan_LDADD = $(KF_TEST_LDADD_EVENTS)

check_PROGRAMS += t/unit/test_merge
t_unit_test_merge_SOURCES = t/unit/test_merge.c t/unit/kf_refuse.h t/unit/kf_samples.h t/unit/patience.h
t_unit_test_merge_CPPFLAGS = $(KF_TEST_CPPFLAGS_EVENTS)
t_unit_test_merge_LDFLAGS = $(kf_refuse_ldflags)
t_unit_test_merge_LDADD = $(KF_TEST_LDADD_EVENTS)

# As kf_apply: windows, for their model.
EXTRA_PROGRAMS += t/model/kf_windows
check_SCRIPTS += t/model/kf_windows$(EXEEXT)
t_model_kf_windows_SOURCES = t/model/kf_windows.c
t_model_kf_windows_CPPFLAGS = $(KF_TEST_CPPFLAGS_EVENTS)
t_model_kf_windows_LDADD = $(kf_events_libs)

check_PROGRAMS += t/unit/test_window_record
t_unit_test_window_record_SOURCES = t/unit/test_window_record.c t/unit/kf_samples.h
t_unit_test_window_record_CPPFLAGS = $(KF_TEST_CPPFLAGS_EVENTS)
t_unit_test_window_record_LDADD = $(KF_TEST_LDADD_EVENTS)
