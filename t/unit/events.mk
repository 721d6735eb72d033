# Unit programs of the layer "events". Each is four lines:
#   check_PROGRAMS += t/unit/test_thing
#   t_unit_test_thing_SOURCES = t/unit/test_thing.c
#   t_unit_test_thing_CPPFLAGS = $(KF_TEST_CPPFLAGS_EVENTS)
#   t_unit_test_thing_LDADD = $(KF_TEST_LDADD_EVENTS)
