# After the tests: what they printed and left in the build folder holds none of the secret keys that they use. What servers
# wrote and answered is searched at the end of each test (t/e2e/leaks.py), their folders are gone by now.
# AWS's published vectors hold one, and are no output: where the tree is built in itself they lie in the build folder.
# Usage: leaks.sh BUILDDIR

cd "${1:?}" || exit 99
# The beginnings of the tests' secret access key, as it is and as a URL has it.
found=$(find . \( -name '*.log' -o -name '*.trs' -o -name '*.xml' -o -name '*.json' -o -name '*.out' \) -type f \
    ! -path './aws_vectors/*' ! -path '*/pytest.cache/*' ! -path '*/.hypothesis/*' \
    -exec grep -lF -e 'wJalrXUtnFEMI/K7' -e 'wJalrXUtnFEMI%2FK7' {} +)
test -z "$found" && exit 0
echo 'these files hold a secret key of the tests, which nothing may print:' >&2
echo "$found" >&2
exit 1
