# Unit programs of the layer "httpd", of what needs no running server. Each is four lines:
#   check_PROGRAMS += t/unit/test_thing
#   t_unit_test_thing_SOURCES = t/unit/test_thing.c
#   t_unit_test_thing_CPPFLAGS = $(KF_TEST_CPPFLAGS_HTTPD)
#   t_unit_test_thing_LDADD = $(KF_TEST_LDADD_HTTPD)

check_PROGRAMS += t/unit/test_runas
t_unit_test_runas_SOURCES = t/unit/test_runas.c t/unit/temp_store.h
t_unit_test_runas_CPPFLAGS = $(KF_TEST_CPPFLAGS_HTTPD)
t_unit_test_runas_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=geteuid -Wl,--wrap=fork
t_unit_test_runas_LDADD = $(KF_TEST_LDADD_HTTPD)

check_PROGRAMS += t/unit/test_secret
t_unit_test_secret_SOURCES = t/unit/test_secret.c t/unit/temp_store.h
t_unit_test_secret_CPPFLAGS = $(KF_TEST_CPPFLAGS_HTTPD)
t_unit_test_secret_LDADD = $(KF_TEST_LDADD_HTTPD)
