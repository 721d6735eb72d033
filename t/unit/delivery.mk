# Unit programs of the layer "delivery". Each is four lines:
#   check_PROGRAMS += t/unit/test_thing
#   t_unit_test_thing_SOURCES = t/unit/test_thing.c
#   t_unit_test_thing_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
#   t_unit_test_thing_LDADD = $(KF_TEST_LDADD_DELIVERY)

check_PROGRAMS += t/unit/test_shared
t_unit_test_shared_SOURCES = t/unit/test_shared.c
t_unit_test_shared_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_shared_LDADD = $(KF_TEST_LDADD_DELIVERY)

check_PROGRAMS += t/unit/test_metrics
t_unit_test_metrics_SOURCES = t/unit/test_metrics.c
t_unit_test_metrics_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_metrics_LDADD = $(KF_TEST_LDADD_DELIVERY)

check_PROGRAMS += t/unit/test_bounds
t_unit_test_bounds_SOURCES = t/unit/test_bounds.c
t_unit_test_bounds_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_bounds_LDADD = $(KF_TEST_LDADD_DELIVERY)

check_PROGRAMS += t/unit/test_destination
t_unit_test_destination_SOURCES = t/unit/test_destination.c
t_unit_test_destination_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_destination_LDADD = $(KF_TEST_LDADD_DELIVERY)

check_PROGRAMS += t/unit/test_engine
t_unit_test_engine_SOURCES = t/unit/test_engine.c t/unit/fake_http.c t/unit/fake_http.h t/unit/patience.h
t_unit_test_engine_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_engine_LDADD = $(KF_TEST_LDADD_DELIVERY)

# A short run of the stress program; by hand it takes seconds and a seed.
check_PROGRAMS += t/stress/stress_engine
t_stress_stress_engine_SOURCES = t/stress/stress_engine.c t/unit/fake_http.c t/unit/fake_http.h t/unit/patience.h
t_stress_stress_engine_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_stress_stress_engine_LDADD = $(KF_TEST_LDADD_DELIVERY)

check_PROGRAMS += t/unit/test_store
t_unit_test_store_SOURCES = t/unit/test_store.c
t_unit_test_store_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_store_LDADD = $(KF_TEST_LDADD_DELIVERY)

# System calls that fail, are interrupted, and do a part of what they are asked for.
check_PROGRAMS += t/unit/test_file
t_unit_test_file_SOURCES = t/unit/test_file.c t/unit/temp_store.h
t_unit_test_file_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_file_LDADD = $(KF_TEST_LDADD_DELIVERY)
t_unit_test_file_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=open -Wl,--wrap=pread -Wl,--wrap=pwrite \
	-Wl,--wrap=fdatasync -Wl,--wrap=fsync

check_PROGRAMS += t/unit/test_hold
t_unit_test_hold_SOURCES = t/unit/test_hold.c
t_unit_test_hold_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_hold_LDADD = $(KF_TEST_LDADD_DELIVERY)

check_PROGRAMS += t/unit/test_index
t_unit_test_index_SOURCES = t/unit/test_index.c
t_unit_test_index_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_index_LDADD = $(KF_TEST_LDADD_DELIVERY)

check_PROGRAMS += t/unit/test_index_wal
t_unit_test_index_wal_SOURCES = t/unit/test_index_wal.c t/unit/temp_store.h
t_unit_test_index_wal_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_index_wal_LDADD = $(KF_TEST_LDADD_DELIVERY)

# Logs that killed processes leave, as the index opens them.
check_PROGRAMS += t/unit/test_index_left
t_unit_test_index_left_SOURCES = t/unit/test_index_left.c t/unit/temp_store.h
t_unit_test_index_left_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_index_left_LDADD = $(KF_TEST_LDADD_DELIVERY)

check_PROGRAMS += t/unit/test_filed
t_unit_test_filed_SOURCES = t/unit/test_filed.c t/unit/temp_store.h
t_unit_test_filed_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_filed_LDADD = $(KF_TEST_LDADD_DELIVERY)

check_PROGRAMS += t/unit/test_windows
t_unit_test_windows_SOURCES = t/unit/test_windows.c
t_unit_test_windows_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_windows_LDADD = $(KF_TEST_LDADD_DELIVERY)

check_PROGRAMS += t/unit/test_deadletters
t_unit_test_deadletters_SOURCES = t/unit/test_deadletters.c
t_unit_test_deadletters_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_deadletters_LDADD = $(KF_TEST_LDADD_DELIVERY)

# Runs the command line program on stores of its own making.
check_PROGRAMS += t/unit/test_dlq
t_unit_test_dlq_SOURCES = t/unit/test_dlq.c
t_unit_test_dlq_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_dlq_LDADD = $(KF_TEST_LDADD_DELIVERY)

check_PROGRAMS += t/unit/test_keeper
t_unit_test_keeper_SOURCES = t/unit/test_keeper.c t/unit/keeper_fixture.c t/unit/keeper_fixture.h \
	t/unit/kf_samples.h t/unit/temp_store.h t/unit/patience.h
t_unit_test_keeper_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_keeper_LDADD = $(KF_TEST_LDADD_DELIVERY)

check_PROGRAMS += t/unit/test_frame
t_unit_test_frame_SOURCES = t/unit/test_frame.c
t_unit_test_frame_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_frame_LDADD = $(KF_TEST_LDADD_DELIVERY)

kf_journal_fixture = t/unit/journal_fixture.c t/unit/journal_fixture.h \
	t/unit/fault_files.c t/unit/fault_files.h

check_PROGRAMS += t/unit/test_segment
t_unit_test_segment_SOURCES = t/unit/test_segment.c $(kf_journal_fixture)
t_unit_test_segment_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_segment_LDADD = $(KF_TEST_LDADD_DELIVERY)

# Segments on a disk that refuses to read.
check_PROGRAMS += t/unit/test_bad_disk
t_unit_test_bad_disk_SOURCES = t/unit/test_bad_disk.c $(kf_journal_fixture)
t_unit_test_bad_disk_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_bad_disk_LDADD = $(KF_TEST_LDADD_DELIVERY)
t_unit_test_bad_disk_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=pread

check_PROGRAMS += t/unit/test_journal
t_unit_test_journal_SOURCES = t/unit/test_journal.c $(kf_journal_fixture)
t_unit_test_journal_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_journal_LDADD = $(KF_TEST_LDADD_DELIVERY)

# Segments of which the memory is given back, also on a disk that refuses to read, and without memory.
check_PROGRAMS += t/unit/test_journal_cold
t_unit_test_journal_cold_SOURCES = t/unit/test_journal_cold.c $(kf_journal_fixture)
t_unit_test_journal_cold_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_journal_cold_LDADD = $(KF_TEST_LDADD_DELIVERY)
t_unit_test_journal_cold_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=pread -Wl,--wrap=calloc

check_PROGRAMS += t/unit/test_journal_fill
t_unit_test_journal_fill_SOURCES = t/unit/test_journal_fill.c $(kf_journal_fixture)
t_unit_test_journal_fill_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_journal_fill_LDADD = $(KF_TEST_LDADD_DELIVERY)

check_PROGRAMS += t/unit/test_journal_threads
t_unit_test_journal_threads_SOURCES = t/unit/test_journal_threads.c $(kf_journal_fixture)
t_unit_test_journal_threads_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_journal_threads_LDADD = $(KF_TEST_LDADD_DELIVERY)

check_PROGRAMS += t/unit/test_group_sync
t_unit_test_group_sync_SOURCES = t/unit/test_group_sync.c
t_unit_test_group_sync_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_group_sync_LDADD = $(KF_TEST_LDADD_DELIVERY)
t_unit_test_group_sync_LDFLAGS = $(AM_LDFLAGS) -pthread

check_PROGRAMS += t/unit/test_snapshot
t_unit_test_snapshot_SOURCES = t/unit/test_snapshot.c
t_unit_test_snapshot_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_snapshot_LDADD = $(KF_TEST_LDADD_DELIVERY)

check_PROGRAMS += t/unit/test_alerts
t_unit_test_alerts_SOURCES = t/unit/test_alerts.c t/unit/temp_store.h
t_unit_test_alerts_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_alerts_LDFLAGS = $(AM_LDFLAGS) -pthread
t_unit_test_alerts_LDADD = $(KF_TEST_LDADD_DELIVERY)

check_PROGRAMS += t/unit/test_alerts_store
t_unit_test_alerts_store_SOURCES = t/unit/test_alerts_store.c t/unit/keeper_fixture.c t/unit/keeper_fixture.h \
	t/unit/kf_samples.h t/unit/temp_store.h
t_unit_test_alerts_store_CPPFLAGS = $(KF_TEST_CPPFLAGS_DELIVERY)
t_unit_test_alerts_store_LDADD = $(KF_TEST_LDADD_DELIVERY)
