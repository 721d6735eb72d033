# Sources of the layer "base" (libc and APR), headers included: what is not
# named here is not in the released archive.
kf_base_sources = \
	src/base/kf_base64.c \
	src/base/kf_base64.h \
	src/base/kf_buf.c \
	src/base/kf_buf.h \
	src/base/kf_clock.c \
	src/base/kf_clock.h \
	src/base/kf_crc32c.c \
	src/base/kf_crc32c.h \
	src/base/kf_directives.def \
	src/base/kf_limits.h \
	src/base/kf_log.c \
	src/base/kf_log.h \
	src/base/kf_messages.def \
	src/base/kf_parse.c \
	src/base/kf_parse.h \
	src/base/kf_settings.c \
	src/base/kf_settings.h \
	src/base/kf_spawn.c \
	src/base/kf_spawn.h \
	src/base/kf_str.h \
	src/base/kf_syntax.c \
	src/base/kf_syntax.h
