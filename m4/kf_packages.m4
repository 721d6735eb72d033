dnl KF_SYSTEM_INCLUDES(VARIABLE): other people's headers are not held to this
dnl project's warnings.
AC_DEFUN([KF_SYSTEM_INCLUDES],
  [$1=`AS_ECHO([" $$1 "]) | sed -e 's/ -I */ -isystem /g' \
    -e 's| -isystem /usr/include/* | |g' -e 's/^ *//' -e 's/ *$//'`])

dnl KF_PKG(NAME, MODULES, DEBIAN-PACKAGE): a library that must be there.
AC_DEFUN([KF_PKG], [
  PKG_CHECK_MODULES([$1], [$2], [],
    [AC_MSG_ERROR([$2 was not found (Debian: apt-get install $3)])])
  KF_SYSTEM_INCLUDES([$1_CFLAGS])
])

dnl KF_PKG_OPTIONAL(NAME, MODULES, DEBIAN-PACKAGE, NEEDED-FOR)
AC_DEFUN([KF_PKG_OPTIONAL], [
  PKG_CHECK_MODULES([$1], [$2],
    [AS_TR_SH([have_]m4_tolower([$1]))=yes],
    [AS_TR_SH([have_]m4_tolower([$1]))=no
     AC_MSG_WARN([$2 was not found; $4 needs it (Debian: apt-get install $3)])])
  KF_SYSTEM_INCLUDES([$1_CFLAGS])
  AM_CONDITIONAL([HAVE_$1], [test "x$AS_TR_SH([have_]m4_tolower([$1]))" = xyes])
])

dnl KF_PYTHON(MODULES, DEBIAN-PACKAGES): the first Python 3 that imports them.
dnl The system's comes before the PATH's, because the distribution's packages
dnl are seen by it alone.
AC_DEFUN([KF_PYTHON], [
  AC_ARG_VAR([PYTHON], [Python 3 with $1, for the tests and the demonstration])
  kf_import=`echo "$1" | sed 's/  */, /g'`
  AC_MSG_CHECKING([for a Python 3 with $1])
  kf_candidates=$PYTHON
  AS_IF([test -z "$kf_candidates"], [kf_candidates="/usr/bin/python3 python3"])
  PYTHON=
  for kf_python in $kf_candidates; do
    AS_IF([PYTHONDONTWRITEBYTECODE=1 $kf_python -c \
        "import sys, $kf_import; sys.exit(sys.version_info < (3, 9))" >/dev/null 2>&1],
      [PYTHON=`command -v $kf_python`
       break])
  done
  AC_MSG_RESULT([${PYTHON:-none}])
  KF_XDIST=
  AS_IF([test -n "$PYTHON"],
    [AS_IF([PYTHONDONTWRITEBYTECODE=1 "$PYTHON" -c 'import xdist' >/dev/null 2>&1],
      [KF_XDIST="-n 4"])],
    [AC_MSG_WARN([m4_normalize([no Python 3 can import $1; "make check" and "make demo" need it
      (Debian: apt-get install $2)])])])
  AC_SUBST([KF_XDIST])
])
