# Includes point downwards only (base, events, aws, delivery, status, httpd), and each
# layer keeps to its own libraries: what the include path can't tell where a
# distribution puts all headers into one folder.

cd "${KF_SRCDIR:-.}" || exit 99
LC_ALL=C
export LC_ALL
problems=$(mktemp) || exit 99
trap 'rm -f "$problems"' EXIT

# includes FOLDER: "file:line name" of each include, the name with its < or ".
includes() {
    find "$@" -type f \( -name '*.[ch]' -o -name '*.def' \) -exec \
        grep -nH '^[[:space:]]*#[[:space:]]*include' {} + |
        sed 's/^\([^:]*:[0-9]*\):[^<"]*\([<"][^>"]*\)[>"].*/\1 \2/'
}

# refuse WHY EXPRESSION: complains of the includes on standard input that match.
refuse() {
    grep -E " $2" | while read -r where name; do
        echo "$where: $1: ${name#?}" >>"$problems"
    done
}

servers='[<"](httpd|http_[a-z]*|ap_[a-z_]*|util_[a-z]*|mod_[a-z_]*|mpm_[a-z]*|ap_mpm|scoreboard|unixd|heartbeat)\.h$'
threads='[<"](pthread|threads|semaphore|apr_thread_[a-z]*|apr_proc_mutex|apr_global_mutex|apr_queue)\.h$'
network='[<"](curl/.*|openssl/.*|jansson\.h)$'
database='[<"]sqlite3\.h$'

order='base events aws delivery status httpd'
above=" $order "
for layer in $order; do
    above=${above#* "$layer" }
    above=" $above"
    test -d "src/$layer" || continue
    all=$(includes "src/$layer")
    for upper in $above; do
        printf '%s\n' "$all" | refuse "$layer includes the layer above it" "[<\"](\.\./)*$upper/"
    done
    # Anything of the project's is named from src/ on, so that the line says the layer.
    printf '%s\n' "$all" | grep -E ' "' | grep -Ev ' "(base|events|aws|delivery|status|httpd)/' |
        grep -Ev ' "config\.h$' |
        if test "$layer" = httpd; then
            grep -Ev " $servers| \"(apr_[a-z_]*|apu[a-z_]*)\.h$"
        else
            grep -Ev ' "(apr_[a-z_]*|apu[a-z_]*)\.h$'
        fi | refuse 'write "layer/file.h"' '"'
    if test "$layer" != httpd; then
        printf '%s\n' "$all" | refuse "httpd's header outside src/httpd" "$servers"
    fi
    case $layer in
        base | events)
            printf '%s\n' "$all" | refuse "$layer is without threads" "$threads"
            printf '%s\n' "$all" | refuse "$layer needs no network or JSON library" "$network"
            printf '%s\n' "$all" | refuse "$layer needs no database" "$database"
            ;;
        status)
            printf '%s\n' "$all" | refuse "$layer is without threads" "$threads"
            printf '%s\n' "$all" | refuse "$layer needs no network or JSON library" "$network"
            printf '%s\n' "$all" | refuse "$layer needs no database" "$database"
            ;;
        aws)
            printf '%s\n' "$all" | refuse "$layer needs no database" "$database"
            ;;
    esac
done
# But for those of src/httpd, of what asks nothing of a server.
of_httpd=$(grep -oE 't/unit/test_[a-z_]*\.c' t/unit/httpd.mk)
for folder in t/unit t/fuzz; do
    test -d $folder || continue
    all=$(includes $folder | grep -vF "$of_httpd")
    printf '%s\n' "$all" | refuse "unit programs and fuzz targets know no httpd" "$servers"
    printf '%s\n' "$all" | refuse "unit programs and fuzz targets know no httpd" '[<"](\.\./)*httpd/'
done

sort -u "$problems"
test ! -s "$problems"
