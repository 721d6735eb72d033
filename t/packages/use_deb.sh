#!/bin/bash
# The second half of test_deb.sh, in a network and process tree of its own: the package in a Debian at KF_USED,
# from its installation to its end, with the stand-in for AWS beside it.
set -euo pipefail

used=${KF_USED:?run by test_deb.sh}
store=/var/lib/mod_kinesis_forward
port=4567
ip link set lo up
mount -t proc proc "$used/proc"

inside() {
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        chroot "$used" "$@"
}

fail() {
    echo "not ok - $*"
    tail -n 40 "$used/var/log/apache2/error.log" "$used/kf/log" 2>/dev/null || true
    exit 1
}

quietly() {
    "$@" >"$used/kf/log" 2>&1 || fail "$*"
}

# expect WHAT COMMAND...
expect() {
    local what=$1
    shift
    "$@" || fail "$what"
    echo "ok - $what"
}

not() {
    ! "$@" >/dev/null
}

equal() {
    test "$1" = "$2" || {
        echo "it is $1, and should be $2"
        return 1
    }
}

# within_a_minute COMMAND...: until it succeeds
within_a_minute() {
    local until=$((SECONDS + 60))
    until "$@"; do
        test $SECONDS -lt $until || return 1
        sleep 0.2
    done
}

# There is no network here: what it needs lies in its cache already.
apt() {
    quietly inside apt-get -y --no-install-recommends "$@"
}

state() {
    inside dpkg-query -W -f '${db:Status-Abbrev}' "$KF_PACKAGE" 2>/dev/null || :
}

httpd_pid() {
    cat "$used/run/apache2/apache2.pid" 2>/dev/null || echo none
}

serves() {
    test "$(inside curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1/)" = 200
}

gone() {
    test ! -e "/proc/$1"
}

restart() {
    quietly inside apachectl configtest
    local before
    before=$(httpd_pid)
    inside apachectl stop >"$used/kf/log" 2>&1 || :
    if test "$before" != none; then
        within_a_minute gone "$before" || fail "httpd stops"
    fi
    quietly inside apachectl start
    within_a_minute serves || fail "httpd serves"
}

# post TEXT: the status of a batch with an event of this name
post() {
    inside curl -s -o /kf/answer -w '%{http_code}' -H 'Content-Type: application/json' http://127.0.0.1/v2/events \
        --data "{\"mpid\": 1, \"events\": [{\"event_type\": \"custom_event\", \"data\": {\"event_name\": \"$1\", \"custom_event_type\": \"other\"}}]}"
}

start_aws() {
    rm -f "$used/kf/ports"
    PYTHONDONTWRITEBYTECODE=1 "$KF_PYTHON" "$KF_SRCDIR/t/aws/standin.py" --port $port --stream events:1 \
        --ledger "$used/kf/ledger" --port-file "$used/kf/ports" >"$used/kf/standin" 2>&1 &
    aws=$!
    within_a_minute test -s "$used/kf/ports" || fail "the stand-in for AWS starts"
}

delivered() {
    "$KF_PYTHON" - "$used/kf/ledger" "$1" <<'END'
import base64, json, sys
try:
    lines = open(sys.argv[1]).read().splitlines()
except FileNotFoundError:
    sys.exit(1)
texts = []
for line in lines:
    record = json.loads(line)
    data = record.get("data")
    if data is None:
        sys.exit("the ledger's form has changed: " + line[:300])
    try:
        data = base64.b64decode(data, validate=True).decode()
    except ValueError:
        pass
    texts.append(data)
sys.exit(0 if sum('"%s"' % sys.argv[2] in text for text in texts) == 1 else 1)
END
}

waiting() {
    find "$used$store/journal" -name '*.seg' -size +0 | grep -q .
}

echo "-- installation"
apt install apache2 curl procps man-db
apt install /kf/this.deb
expect "installed" equal "$(state)" "ii "
expect "the module is where httpd looks" test -f "$used/usr/lib/apache2/modules/mod_kinesis_forward.so"
expect "a2enmod's files are there" test -f "$used/etc/apache2/mods-available/kinesis_forward.load" -a \
    -f "$used/etc/apache2/mods-available/kinesis_forward.conf"
expect "nothing is switched on unasked" test ! -e "$used/etc/apache2/mods-enabled/kinesis_forward.load"
expect "the store is the children's alone" equal "$(inside stat -c '%U:%G %a' $store)" "www-data:www-data 700"
expect "kinesis-forward-dlq runs" inside kinesis-forward-dlq --version
expect "it has a manual page" test -f "$used/usr/share/man/man1/kinesis-forward-dlq.1.gz"
expect "the documents are there" test -f "$used/usr/share/doc/$KF_PACKAGE/docs/directives.md"

echo "-- use"
quietly inside a2enmod kinesis_forward
restart
expect "a2enmod switches it on" grep -q 'KF0501' "$used/var/log/apache2/error.log"
cat >"$used/etc/apache2/conf-available/events.conf" <<END
<IfModule mod_kinesis_forward.c>
    KinesisEndpoint        http://127.0.0.1:$port
    KinesisAccessKeyId     AKIDEXAMPLE
    KinesisSecretAccessKey file:/etc/apache2/kinesis.secret
    KinesisBatchWindow     0
    KinesisRetryBackoff    50ms 500ms
    <KinesisConnection events>
        KinesisStreamName events
    </KinesisConnection>
    <Location "/v2/events">
        SetHandler kinesis-forward
        KinesisForward events
    </Location>
</IfModule>
END
(umask 077 && echo wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY >"$used/etc/apache2/kinesis.secret")
echo '# a line of the operator' >>"$used/etc/apache2/mods-available/kinesis_forward.conf"
quietly inside a2enconf events
start_aws
restart
expect "a batch is accepted" equal "$(post first)" 202
expect "and delivered" within_a_minute delivered first

echo "-- upgrade"
kill $aws && wait $aws || :
expect "AWS is away, a batch is accepted" equal "$(post second)" 202
expect "and waits in the store" waiting
before=$(httpd_pid)
apt -o Dpkg::Options::=--force-confold install /kf/next.deb
expect "the next version is there" equal "$(inside dpkg-query -W -f '${Version}' "$KF_PACKAGE")" "$KF_NEXT"
expect "httpd was started anew" not equal "$(httpd_pid)" "$before"
within_a_minute serves || fail "httpd serves after the upgrade"
expect "what the operator wrote is still there" grep -q 'a line of the operator' \
    "$used/etc/apache2/mods-available/kinesis_forward.conf"
expect "the store is the children's alone" equal "$(inside stat -c '%U:%G %a' $store)" "www-data:www-data 700"
expect "the batch still waits" not delivered second
start_aws
expect "it is delivered by the next version" within_a_minute delivered second
kill $aws && wait $aws || :
expect "AWS is away again, a batch is accepted" equal "$(post third)" 202

echo "-- removal"
apt remove "$KF_PACKAGE"
expect "removed, its configuration is left" equal "$(state)" "rc "
expect "the module is switched off" test ! -e "$used/etc/apache2/mods-enabled/kinesis_forward.load"
restart
expect "httpd serves without it" equal "$(post fourth)" 404
expect "the store is left" waiting
expect "and still the children's alone" equal "$(inside stat -c '%U:%G %a' $store)" "www-data:www-data 700"
apt install /kf/this.deb
quietly inside a2enmod kinesis_forward
start_aws
restart
expect "installed again, it delivers what had waited" within_a_minute delivered third

echo "-- purge"
mkdir "$used/var/lib/mod_kinesis_forward.mine"
apt purge "$KF_PACKAGE"
expect "nothing is known of the package" equal "$(state)" ""
expect "the store is gone" test ! -e "$used$store"
expect "a folder beside it is not" test -d "$used/var/lib/mod_kinesis_forward.mine"
expect "and the configuration is gone" not test -e "$used/etc/apache2/mods-available/kinesis_forward.load" -o \
    -e "$used/etc/apache2/mods-available/kinesis_forward.conf"
left=$(find "$used" -xdev \( -path "$used/proc" -o -path "$used/kf" -o -name '*.mine' \) -prune -o \
    -name '*kinesis[-_]forward*' -print)
expect "no file is left" equal "$left" ""
restart
expect "httpd still serves" serves
quietly inside apachectl stop
kill $aws && wait $aws || :
umount "$used/proc"
