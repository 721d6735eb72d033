# Sources of the layer "aws" (curl, OpenSSL, jansson), headers included: what is not
# named here is not in the released archive.
kf_aws_sources = \
	src/aws/kf_call.c \
	src/aws/kf_call.h \
	src/aws/kf_class.c \
	src/aws/kf_class.h \
	src/aws/kf_creds.c \
	src/aws/kf_creds.h \
	src/aws/kf_endpoint.c \
	src/aws/kf_endpoint.h \
	src/aws/kf_http.h \
	src/aws/kf_http_curl.c \
	src/aws/kf_http_head.c \
	src/aws/kf_http_head.h \
	src/aws/kf_region.c \
	src/aws/kf_region.h \
	src/aws/kf_reply.c \
	src/aws/kf_retry.c \
	src/aws/kf_retry.h \
	src/aws/kf_sigv4.c \
	src/aws/kf_sigv4.h \
	src/aws/kf_target.c \
	src/aws/kf_target.h
