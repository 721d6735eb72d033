dnl KF_TRY_FLAG(VARIABLE, FLAG): adds FLAG to VARIABLE where the compiler
dnl takes it without a warning.
AC_DEFUN([KF_TRY_FLAG], [
  AS_VAR_PUSHDEF([cachevar], [kf_cv_flag_$2])
  AC_CACHE_CHECK([whether $CC takes $2], [cachevar], [
    kf_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $2"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
      [AS_VAR_SET([cachevar], [yes])], [AS_VAR_SET([cachevar], [no])])
    CFLAGS=$kf_save_CFLAGS])
  AS_VAR_IF([cachevar], [yes], [$1="$$1 $2"])
  AS_VAR_POPDEF([cachevar])
])

dnl KF_COMPILER_FLAGS: language, warnings, hardening, sanitizers, coverage.
AC_DEFUN([KF_COMPILER_FLAGS], [
  KF_CFLAGS="-std=gnu11 -fno-strict-aliasing"
  KF_LDFLAGS=
  m4_foreach_w([flag], [-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes
      -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wformat=2 -Wundef
      -Wvla -Wimplicit-fallthrough -fstack-protector-strong
      -fstack-clash-protection -fno-common],
    [KF_TRY_FLAG([KF_CFLAGS], flag)])
  KF_TRY_FLAG([KF_LDFLAGS], [-Wl,-z,relro])
  KF_TRY_FLAG([KF_LDFLAGS], [-Wl,-z,now])

  AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [make warnings errors])],
    [], [enable_werror=no])
  AS_IF([test "x$enable_werror" = xyes], [KF_CFLAGS="$KF_CFLAGS -Werror"])

  AC_ARG_ENABLE([sanitizers],
    [AS_HELP_STRING([--enable-sanitizers=LIST],
      [instrument with the named sanitizers: address,undefined or thread])],
    [], [enable_sanitizers=no])
  AS_CASE([$enable_sanitizers],
    [yes], [enable_sanitizers=address,undefined])
  KF_PRELOAD=
  AS_IF([test "x$enable_sanitizers" != xno], [
    KF_CFLAGS="$KF_CFLAGS -fsanitize=$enable_sanitizers -fno-omit-frame-pointer -g"
    AS_CASE([",$enable_sanitizers,"], [*,undefined,*],
      [KF_CFLAGS="$KF_CFLAGS -fno-sanitize-recover=undefined"])
    KF_LDFLAGS="$KF_LDFLAGS -fsanitize=$enable_sanitizers"
    dnl The module is loaded into an httpd that is not instrumented: the
    dnl sanitizer's library must be there before it, so the tests preload it.
    AS_CASE([",$enable_sanitizers,"],
      [*,address,*], [kf_san=asan],
      [*,thread,*], [kf_san=tsan],
      [kf_san=ubsan])
    AS_IF([$CC --version 2>/dev/null | grep -i clang >/dev/null], [
      AS_IF([test $kf_san = tsan],
        [AC_MSG_ERROR([m4_normalize([clang's shared run-time library for -fsanitize=thread does not work in a
          server that is not instrumented; use gcc])])])
      KF_LDFLAGS="$KF_LDFLAGS -shared-libsan"
      kf_arch=`$CC -dumpmachine | sed 's/-.*//'`
      AS_CASE([$kf_san], [ubsan], [kf_san=ubsan_standalone])
      KF_PRELOAD=`$CC -print-file-name=libclang_rt.$kf_san-$kf_arch.so`
      dnl The unit programs find the library by this; it is in no system folder.
      KF_LDFLAGS="$KF_LDFLAGS -Wl,-rpath,`dirname "$KF_PRELOAD"`"
    ], [KF_PRELOAD=`$CC -print-file-name=lib$kf_san.so`])
    AS_IF([test -f "$KF_PRELOAD"], [],
      [AC_MSG_ERROR([$CC has no shared run-time library for -fsanitize=$enable_sanitizers])])
  ], [
    dnl glibc warns about _FORTIFY_SOURCE without optimisation, and some
    dnl distributions' compilers define it themselves.
    AC_MSG_CHECKING([whether to define _FORTIFY_SOURCE])
    AC_COMPILE_IFELSE([AC_LANG_SOURCE([[
      #if !defined __OPTIMIZE__ || defined _FORTIFY_SOURCE
      #error no
      #endif
      int unused;]])],
      [AC_MSG_RESULT([yes])
       KF_FORTIFY=-D_FORTIFY_SOURCE=2],
      [AC_MSG_RESULT([no])
       KF_FORTIFY=])
  ])
  AM_CONDITIONAL([KF_SANITIZED], [test "x$enable_sanitizers" != xno])

  AC_ARG_ENABLE([coverage],
    [AS_HELP_STRING([--enable-coverage], [instrument for gcov])],
    [], [enable_coverage=no])
  AS_IF([test "x$enable_coverage" = xyes], [
    KF_CFLAGS="$KF_CFLAGS --coverage -fprofile-update=atomic -O0"
    KF_LDFLAGS="$KF_LDFLAGS --coverage"
    KF_FORTIFY=])
  AM_CONDITIONAL([KF_COVERAGE], [test "x$enable_coverage" = xyes])

  AC_SUBST([KF_CFLAGS])
  AC_SUBST([KF_LDFLAGS])
  AC_SUBST([KF_FORTIFY])
  AC_SUBST([KF_PRELOAD])
])
