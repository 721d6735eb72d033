# Each fragment of the changelog is named and written so that a release can take it up.

cd "${KF_SRCDIR:-.}" || exit 99
exec sh build-aux/changelog.sh check
