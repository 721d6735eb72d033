# "make hostile-cost": what a byte of hostile JSON costs beside one of ordinary JSON. No part of "make check",
# which judges no speed.

EXTRA_PROGRAMS += t/stress/hostile_json
t_stress_hostile_json_SOURCES = t/stress/hostile_json.c
t_stress_hostile_json_CPPFLAGS = $(KF_TEST_CPPFLAGS_EVENTS)
t_stress_hostile_json_LDADD = $(kf_events_libs)

.PHONY: hostile-cost
hostile-cost: t/stress/hostile_json$(EXEEXT)
	t/stress/hostile_json '$(abs_top_srcdir)/t/bench/batch.json'
