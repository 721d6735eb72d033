# What "make bench" builds: the handler to compare with, the receiver in AWS's place, and the measuring of
# the rewriting by itself.

EXTRA_LTLIBRARIES = t/bench/mod_bench_empty.la
t_bench_mod_bench_empty_la_SOURCES = t/bench/mod_bench_empty.c
t_bench_mod_bench_empty_la_CPPFLAGS = $(libkf_httpd_la_CPPFLAGS)
t_bench_mod_bench_empty_la_CFLAGS = $(KF_CFLAGS)
t_bench_mod_bench_empty_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath $(moddir)

EXTRA_PROGRAMS += t/bench/receiver
t_bench_receiver_SOURCES = t/bench/receiver.c

EXTRA_PROGRAMS += t/bench/rewrite
t_bench_rewrite_SOURCES = t/bench/rewrite.c
t_bench_rewrite_CPPFLAGS = $(KF_TEST_CPPFLAGS_EVENTS)
t_bench_rewrite_LDADD = $(KF_TEST_LDADD_EVENTS)

kf_bench_programs = t/bench/mod_bench_empty.la t/bench/receiver$(EXEEXT) t/bench/rewrite$(EXEEXT)

BENCH_FLAGS =
.PHONY: bench
bench: all check-tools $(kf_bench_programs)
	@env $(kf_environment) '$(PYTHON)' '$(abs_top_srcdir)/t/bench/bench.py' $(BENCH_FLAGS)
