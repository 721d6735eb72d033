# Sources of the layer "delivery" (threads, SQLite, files), headers included: what is not
# named here is not in the released archive.
kf_delivery_sources = \
	src/delivery/kf_alert.c \
	src/delivery/kf_alert.h \
	src/delivery/kf_batch.c \
	src/delivery/kf_batch.h \
	src/delivery/kf_bounds.c \
	src/delivery/kf_bounds.h \
	src/delivery/kf_destination.c \
	src/delivery/kf_destination.h \
	src/delivery/kf_destination_int.h \
	src/delivery/kf_engine.c \
	src/delivery/kf_engine.h \
	src/delivery/kf_engine_int.h \
	src/delivery/kf_hold.c \
	src/delivery/kf_intake.c \
	src/delivery/kf_isolate.c \
	src/delivery/kf_outcome.c \
	src/delivery/kf_outcome.h \
	src/delivery/kf_reaction.c \
	src/delivery/kf_settle.c \
	src/delivery/kf_shared.c \
	src/delivery/kf_shared.h \
	src/delivery/kf_timing.h \
	src/delivery/kf_transfer.c \
	src/delivery/kf_wake.c \
	src/delivery/kf_wake.h \
	src/delivery/kf_worker.c
