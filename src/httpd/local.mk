# Sources of the layer "httpd" (httpd; with mod_kinesis_forward.c the only place that includes its headers), headers included: what is not
# named here is not in the released archive.
kf_httpd_sources = \
	src/httpd/kf_answer.c \
	src/httpd/kf_answer.h \
	src/httpd/kf_body.c \
	src/httpd/kf_body.h \
	src/httpd/kf_check.c \
	src/httpd/kf_check.h \
	src/httpd/kf_commands.c \
	src/httpd/kf_commands.h \
	src/httpd/kf_config.c \
	src/httpd/kf_config.h \
	src/httpd/kf_content.c \
	src/httpd/kf_content.h \
	src/httpd/kf_cors.c \
	src/httpd/kf_cors.h \
	src/httpd/kf_forward.c \
	src/httpd/kf_forward.h \
	src/httpd/kf_handler.c \
	src/httpd/kf_handler.h \
	src/httpd/kf_httpd_log.c \
	src/httpd/kf_httpd_log.h \
	src/httpd/kf_lifecycle.c \
	src/httpd/kf_lifecycle.h \
	src/httpd/kf_module.h \
	src/httpd/kf_runas.c \
	src/httpd/kf_runas.h \
	src/httpd/kf_secret.c \
	src/httpd/kf_secret.h \
	src/httpd/kf_status.c \
	src/httpd/kf_status.h \
	src/httpd/kf_status_change.c \
	src/httpd/kf_status_change.h \
	src/httpd/kf_status_guard.c \
	src/httpd/kf_status_guard.h \
	src/httpd/kf_status_index.c \
	src/httpd/kf_status_index.h

# The module record and its hooks.
kf_module_sources = mod_kinesis_forward.c
