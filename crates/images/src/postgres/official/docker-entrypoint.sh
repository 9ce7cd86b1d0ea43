#!/bin/sh
# Makes the database on the first start, then becomes the command: the environment contract of the image
# `postgres`.
set -eu

say() { printf '%s\n' "$1" >&2; }

# setting NAME DEFAULT: exports NAME, from the file in NAME_FILE if there is one
setting() {
    eval "setting_text=\${$1:-} setting_file=\${${1}_FILE:-}"
    if [ -n "$setting_text" ] && [ -n "$setting_file" ]; then
        say "error: both $1 and ${1}_FILE are set (but are exclusive)"
        exit 1
    fi
    if [ -n "$setting_file" ]; then setting_text=$(cat "$setting_file"); fi
    export "$1=${setting_text:-$2}"
}

# PostgreSQL refuses to run as root. On the node of an ordinary user there is one user alone, which then gets
# another number.
become_postgres() { # COMMAND...
    mkdir -p "$PGDATA"
    if setpriv --reuid=999 --regid=999 --clear-groups true 2>/dev/null; then
        chown -R 999:999 "$PGDATA"
        exec setpriv --reuid=999 --regid=999 --clear-groups -- "$0" "$@"
    fi
    exec unshare --user --map-user=999 --map-group=999 -- "$0" "$@"
}

is_server() { # whether the command starts a server, rather than telling of one
    [ "${1:-}" = postgres ] || return 1
    for argument in "$@"; do
        case $argument in -'?' | --help | --describe-config | -V | --version) return 1 ;; esac
    done
}

# shellcheck disable=SC2086 # the arguments are a list
make_cluster() {
    password_file=$(mktemp)
    printf '%s\n' "$POSTGRES_PASSWORD" >"$password_file"
    set -- -D "$PGDATA" -U "$POSTGRES_USER" -E UTF8
    [ -z "$POSTGRES_PASSWORD" ] || set -- "$@" --pwfile="$password_file"
    [ -z "${POSTGRES_INITDB_WALDIR:-}" ] || set -- "$@" --waldir="$POSTGRES_INITDB_WALDIR"
    initdb "$@" $POSTGRES_INITDB_ARGS >&2
    rm -f "$password_file"
    printf '\nhost all all all %s\n' "$POSTGRES_HOST_AUTH_METHOD" >>"$PGDATA/pg_hba.conf"
}

run_sql() { # [OPTION...]
    PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD} \
        psql -X -v ON_ERROR_STOP=1 -w -h /tmp -U "$POSTGRES_USER" -d "$POSTGRES_DB" "$@"
}

run_scripts() {
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
        *.sh)
            say "$0: running $file"
            # shellcheck disable=SC1090
            if [ -x "$file" ]; then "$file"; elif command -v bash >/dev/null; then bash "$file"; else (. "$file"); fi
            ;;
        *.sql) say "$0: running $file" && run_sql -f "$file" ;;
        *.sql.gz) say "$0: running $file" && gunzip -c "$file" | run_sql ;;
        /docker-entrypoint-initdb.d/'*') ;;
        *) say "$0: ignoring $file" ;;
        esac
    done
}

prepare() {
    if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
        say "Error: Database is uninitialized and superuser password is not specified."
        say "       You must specify POSTGRES_PASSWORD to a non-empty value for the superuser."
        exit 1
    fi
    make_cluster
    pg_ctl -D "$PGDATA" -w -o "-c listen_addresses='' -k /tmp -p ${PGPORT:-5432}" start >&2
    if [ "$POSTGRES_DB" != postgres ]; then
        name=$(printf %s "$POSTGRES_DB" | sed 's/"/""/g')
        echo "CREATE DATABASE \"$name\";" | run_sql -d postgres
    fi
    run_scripts
    pg_ctl -D "$PGDATA" -m fast -w stop >&2
    say 'PostgreSQL init process complete; ready for start up.'
}

case "${1:-}" in -*) set -- postgres "$@" ;; esac
if is_server "$@"; then
    setting PGDATA /var/lib/postgresql/data
    setting POSTGRES_PASSWORD ''
    setting POSTGRES_USER postgres
    setting POSTGRES_DB "$POSTGRES_USER"
    setting POSTGRES_INITDB_ARGS ''
    setting POSTGRES_HOST_AUTH_METHOD scram-sha-256
    if [ "$(id -u)" = 0 ]; then become_postgres "$@"; fi
    # PostgreSQL wants a name for its user
    getent passwd "$(id -u)" >/dev/null || echo "user:x:$(id -u):$(id -g)::/:/bin/sh" >>/etc/passwd
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA" || true
    [ -s "$PGDATA/PG_VERSION" ] || prepare
    # the image's own default, where PostgreSQL's is localhost
    shift
    set -- postgres -c listen_addresses='*' -c unix_socket_directories=/tmp "$@"
fi
exec "$@"
