# What the benches build: the handler to compare with, the receiver in AWS's place, the measuring of the
# rewriting by itself, and what leaves a backlog behind.

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

EXTRA_PROGRAMS += t/bench/preload
t_bench_preload_SOURCES = t/bench/preload.c
t_bench_preload_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_bench_preload_LDADD = $(KF_TEST_LDADD_DELIVERY)

kf_bench_programs = t/bench/mod_bench_empty.la t/bench/receiver$(EXEEXT) t/bench/rewrite$(EXEEXT) \
	t/bench/preload$(EXEEXT)
kf_bench = env $(kf_environment) '$(PYTHON)' '$(abs_top_srcdir)/t/bench/

BENCH_FLAGS =
SCALING_FLAGS =
SETTINGS_FLAGS =
COST_FLAGS =
.PHONY: bench bench-scaling bench-settings bench-cost performance-page
bench: all check-tools $(kf_bench_programs)
	@$(kf_bench)bench.py' $(BENCH_FLAGS)

# How throughput and processor time go with one number at a time; curves as JSON and SVG in t/scaling.
bench-scaling: all check-tools $(kf_bench_programs)
	@$(kf_bench)scaling.py' $(SCALING_FLAGS)

# What httpd's own settings cost or save.
bench-settings: all check-tools $(kf_bench_programs)
	@$(kf_bench)settings.py' $(SETTINGS_FLAGS)

# How many units AWS bills for what the module makes of batches of each size.
bench-cost: all check-tools
	@$(kf_bench)cost.py' $(COST_FLAGS)

# Tables and curves of docs/performance.md out of docs/performance/*.json, which the benches write with --record.
performance-page:
	@$(kf_bench)page.py'
