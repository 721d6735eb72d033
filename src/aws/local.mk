# Sources of the layer "aws" (curl, OpenSSL, jansson), headers included: what is not
# named here is not in the released archive.
kf_aws_sources = \
	src/aws/kf_call.c \
	src/aws/kf_call.h \
	src/aws/kf_class.c \
	src/aws/kf_class.h \
	src/aws/kf_creds.c \
	src/aws/kf_creds.h \
	src/aws/kf_creds_chain.c \
	src/aws/kf_creds_chain.h \
	src/aws/kf_creds_container.c \
	src/aws/kf_creds_env.c \
	src/aws/kf_creds_env.h \
	src/aws/kf_creds_flight.c \
	src/aws/kf_creds_flight.h \
	src/aws/kf_creds_from_profile.c \
	src/aws/kf_creds_instance.c \
	src/aws/kf_creds_int.h \
	src/aws/kf_creds_process.c \
	src/aws/kf_creds_profile.c \
	src/aws/kf_creds_profile.h \
	src/aws/kf_creds_providers.h \
	src/aws/kf_creds_refresh.c \
	src/aws/kf_creds_reply.c \
	src/aws/kf_creds_reply.h \
	src/aws/kf_creds_sts.c \
	src/aws/kf_endpoint.c \
	src/aws/kf_endpoint.h \
	src/aws/kf_http.h \
	src/aws/kf_http_curl.c \
	src/aws/kf_http_head.c \
	src/aws/kf_http_head.h \
	src/aws/kf_ini.c \
	src/aws/kf_ini.h \
	src/aws/kf_keys.c \
	src/aws/kf_keys.h \
	src/aws/kf_region.c \
	src/aws/kf_region.h \
	src/aws/kf_reply.c \
	src/aws/kf_retry.c \
	src/aws/kf_retry.h \
	src/aws/kf_sigv4.c \
	src/aws/kf_sigv4.h \
	src/aws/kf_target.c \
	src/aws/kf_target.h \
	src/aws/kf_url.c \
	src/aws/kf_url.h
