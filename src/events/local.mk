# Sources of the layer "events" (pure: base and APR's headers only), headers included: what is not
# named here is not in the released archive.
kf_events_sources = \
	src/events/kf_batch_members.def \
	src/events/kf_envelope.c \
	src/events/kf_envelope.h \
	src/events/kf_event.c \
	src/events/kf_event.h \
	src/events/kf_event_types.def \
	src/events/kf_filter.c \
	src/events/kf_filter.h \
	src/events/kf_identities.def \
	src/events/kf_identity.c \
	src/events/kf_identity.h \
	src/events/kf_json.c \
	src/events/kf_json.h \
	src/events/kf_members.c \
	src/events/kf_members.h \
	src/events/kf_names.c \
	src/events/kf_names.h \
	src/events/kf_partition.c \
	src/events/kf_partition.h \
	src/events/kf_plan.h \
	src/events/kf_post.c \
	src/events/kf_post.h \
	src/events/kf_record.c \
	src/events/kf_record.h \
	src/events/kf_rules.c \
	src/events/kf_rules.h \
	src/events/kf_split.c \
	src/events/kf_split.h \
	src/events/kf_validate.c \
	src/events/kf_validate.h \
	src/events/kf_writer.c \
	src/events/kf_writer.h
