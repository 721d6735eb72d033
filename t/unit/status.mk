# Unit programs of the layer "status". Each is four lines:
#   check_PROGRAMS += t/unit/test_thing
#   t_unit_test_thing_SOURCES = t/unit/test_thing.c
#   t_unit_test_thing_CPPFLAGS = $(KF_TEST_CPPFLAGS_STATUS)
#   t_unit_test_thing_LDADD = $(KF_TEST_LDADD_STATUS)

check_PROGRAMS += t/unit/test_status_text
t_unit_test_status_text_SOURCES = t/unit/test_status_text.c
t_unit_test_status_text_CPPFLAGS = $(KF_TEST_CPPFLAGS_STATUS)
t_unit_test_status_text_LDADD = $(KF_TEST_LDADD_STATUS)

check_PROGRAMS += t/unit/test_status_render
t_unit_test_status_render_SOURCES = t/unit/test_status_render.c
t_unit_test_status_render_CPPFLAGS = $(KF_TEST_CPPFLAGS_STATUS)
t_unit_test_status_render_LDADD = $(KF_TEST_LDADD_STATUS)
