dnl KF_PROG_APXS(VERSION): httpd's own word on how modules are built for it.
AC_DEFUN([KF_PROG_APXS], [
  AC_ARG_WITH([apxs],
    [AS_HELP_STRING([--with-apxs=PATH], [httpd's apxs @<:@the one on PATH@:>@])],
    [], [with_apxs=yes])
  AS_CASE([$with_apxs],
    [yes], [AC_PATH_PROGS([APXS], [apxs apxs2], [], [$PATH:/usr/bin:/usr/sbin:/usr/local/apache2/bin])],
    [no], [APXS=],
    [AC_MSG_CHECKING([for apxs])
     AS_IF([test -d "$with_apxs"], [with_apxs=$with_apxs/apxs])
     APXS=$with_apxs
     AC_MSG_RESULT([$APXS])])
  AS_IF([test -n "$APXS" && "$APXS" -q INCLUDEDIR >/dev/null 2>&1], [],
    [AC_MSG_ERROR([m4_normalize([apxs was not found or does not work
      (Debian: apt-get install apache2-dev; elsewhere: --with-apxs=PATH)])])])

  HTTPD_INCLUDEDIR=`"$APXS" -q INCLUDEDIR`
  HTTPD_MODULES_DIR=`"$APXS" -q LIBEXECDIR`
  HTTPD_CPPFLAGS="-isystem $HTTPD_INCLUDEDIR"
  AC_SUBST([HTTPD_CPPFLAGS])
  AC_SUBST([HTTPD_MODULES_DIR])

  kf_apr_config=`"$APXS" -q APR_CONFIG 2>/dev/null`
  kf_apu_config=`"$APXS" -q APU_CONFIG 2>/dev/null`
  AS_IF([test -x "$kf_apr_config"], [], [AC_PATH_PROGS([kf_apr_config], [apr-1-config])])
  AS_IF([test -x "$kf_apu_config"], [], [AC_PATH_PROGS([kf_apu_config], [apu-1-config])])
  AC_MSG_CHECKING([for APR])
  AS_IF([test -x "$kf_apr_config"], [],
    [AC_MSG_ERROR([apr-1-config was not found (Debian: apt-get install libapr1-dev)])])
  kf_version=`"$kf_apr_config" --version`
  AC_MSG_RESULT([$kf_version])
  AC_MSG_CHECKING([for apr-util])
  AS_IF([test -x "$kf_apu_config"], [],
    [AC_MSG_ERROR([apu-1-config was not found (Debian: apt-get install libaprutil1-dev)])])
  kf_version=`"$kf_apu_config" --version`
  AC_MSG_RESULT([$kf_version])
  dnl --cppflags carries _GNU_SOURCE and the large-file macros that APR, and so
  dnl httpd, was built with; off_t differs without them.
  APR_CFLAGS="`"$kf_apr_config" --cppflags --includes` `"$kf_apu_config" --includes`"
  APR_LIBS="`"$kf_apu_config" --link-ld` `"$kf_apr_config" --link-ld`"
  KF_SYSTEM_INCLUDES([APR_CFLAGS])
  AC_SUBST([APR_CFLAGS])
  AC_SUBST([APR_LIBS])

  AC_MSG_CHECKING([for httpd's headers, $1 or newer])
  kf_save_CPPFLAGS=$CPPFLAGS
  CPPFLAGS="$CPPFLAGS $APR_CFLAGS $HTTPD_CPPFLAGS"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[
      #include "ap_release.h"
      #if AP_SERVER_MAJORVERSION_NUMBER * 1000000 + AP_SERVER_MINORVERSION_NUMBER * 1000 \
          + AP_SERVER_PATCHLEVEL_NUMBER < ]m4_eval(m4_bpatsubst([$1], [\([0-9]+\)\.\([0-9]+\)\.\([0-9]+\)], [\1 * 1000000 + \2 * 1000 + \3]))[
      #error too old
      #endif
      #include "httpd.h"]], [])],
    [AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no])
     AC_MSG_ERROR([m4_normalize([httpd $1 or newer is needed; its headers are looked for in $HTTPD_INCLUDEDIR
       (Debian: apt-get install apache2-dev)])])])
  CPPFLAGS=$kf_save_CPPFLAGS

  AC_ARG_WITH([moduledir],
    [AS_HELP_STRING([--with-moduledir=DIR], [where the module is installed @<:@what apxs says@:>@])],
    [moduledir=$withval], [moduledir=$HTTPD_MODULES_DIR])
  AC_SUBST([moduledir])
])

dnl KF_HTTPD: the server program, which only the tests run.
AC_DEFUN([KF_HTTPD], [
  AC_ARG_VAR([HTTPD], [httpd's program, for the tests and the demonstration])
  AS_IF([test -z "$HTTPD"], [
    kf_sbindir=`"$APXS" -q SBINDIR 2>/dev/null`
    kf_progname=`"$APXS" -q PROGNAME 2>/dev/null`
    AC_PATH_PROGS([HTTPD], [${kf_progname:-apache2} apache2 httpd], [],
      [$kf_sbindir:/usr/sbin:/usr/local/sbin:$PATH])])
  HTTPD_VERSION=unknown
  AS_IF([test -n "$HTTPD"],
    [HTTPD_VERSION=`"$HTTPD" -v 2>/dev/null | sed -n 's|^Server version: *||p'`],
    [AC_MSG_WARN([the httpd program was not found; "make check" and "make demo" need it (Debian: apt-get install apache2-bin)])])
])
