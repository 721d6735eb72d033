#!/bin/sh
# test_rpm.sh ARCHIVE (make check-rpm): the spec file builds, and the package holds the files that it should, with
# the owners and modes that they should have; nothing of it is configuration that an upgrade would overwrite.
set -eu

archive=$(realpath "$1")
root=${KF_SRCDIR:?run by make check-rpm}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

# Unit tests are "make check"'s.
if ! RPM_CHECK=${RPM_CHECK:-no} sh "$root/packaging/build-rpm.sh" "$archive" "$work/out" >"$work/log" 2>&1; then
    tail -n 60 "$work/log" >&2
    echo "not ok - rpmbuild"
    exit 1
fi
echo "ok - rpmbuild"

package=$(ls "$work"/out/mod_kinesis_forward-[0-9]*.rpm | grep -v '\.src\.rpm$')
libdir=$(rpm --eval '%{_libdir}')

# Mode, owner and group, flags (c: configuration, n: never replaced; d: documentation, l: licence), name.
rpm -qp --qf '[%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILEFLAGS:fflags} %{FILENAMES}\n]' "$package" |
    sed -e "s/  */ /g" -e "s/\.1\.gz$/.1/" | LC_ALL=C sort -t / -k 2 >"$work/is"
cat >"$work/should" <<END
-rw-r--r-- root:root cn /etc/httpd/conf.d/kinesis_forward.conf
-rw-r--r-- root:root cn /etc/httpd/conf.modules.d/20-kinesis_forward.conf
-rwxr-xr-x root:root /usr/bin/kinesis-forward-dlq
-rwxr-xr-x root:root $libdir/httpd/modules/mod_kinesis_forward.so
-rw-r--r-- root:root d /usr/share/man/man1/kinesis-forward-dlq.1
drwx------ apache:apache /var/lib/mod_kinesis_forward
END
# Documentation changes with the project; the licence's place with the distribution.
grep -vE ' /usr/share/(doc|licenses)(/|$)| /usr/lib/\.build-id' "$work/is" >"$work/is.rest"
LC_ALL=C sort -t / -k 2 "$work/should" >"$work/should.sorted"
if ! diff "$work/should.sorted" "$work/is.rest"; then
    echo "not ok - files, owners, modes"
    exit 1
fi
echo "ok - files, owners, modes"

for page in README.md docs/directives.md docs/deployment.md examples/example.conf; do
    if ! grep -q "/mod_kinesis_forward/$page\$" "$work/is"; then
        cat "$work/is"
        echo "not ok - $page is in it"
        exit 1
    fi
done
if ! grep -q '/LICENSE$' "$work/is"; then
    echo "not ok - the licence is in it"
    exit 1
fi
echo "ok - documents and licence"

mkdir "$work/files"
rpm2archive - <"$package" | tar -xzf - -C "$work/files"
if ! nm -D --defined-only "$work/files$libdir/httpd/modules/mod_kinesis_forward.so" | grep -q ' kinesis_forward_module$'; then
    echo "not ok - the module has its record"
    exit 1
fi
echo "ok - the module has its record"
if ! "$work/files/usr/bin/kinesis-forward-dlq" --help | grep -qF '[/var/lib/mod_kinesis_forward]'; then
    echo "not ok - the program looks for the store where the package has it"
    exit 1
fi
echo "ok - the program looks for the store where the package has it"
