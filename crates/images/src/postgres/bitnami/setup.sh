#!/bin/sh
# Makes the database on the first start, and the configuration on every start.
set -eu
script_dir=$(cd "$(dirname "$0")" && pwd)
. "$script_dir/../postgresql-env.sh"

# === settings

faults=0
fault() {
    error "$1"
    faults=1
}

expect_file() { # PATH WHAT
    [ -f "$1" ] || fault "The $2 file in the specified path $1 does not exist"
}

expect_yes_or_no() { # NAME VALUE
    case $2 in yes | no) ;; *) fault "The values allowed for $1 are: yes or no" ;; esac
}

validate_password() {
    if is_yes "$ALLOW_EMPTY_PASSWORD"; then
        warn "You set the environment variable ALLOW_EMPTY_PASSWORD=$ALLOW_EMPTY_PASSWORD. For safety reasons, do not use this flag in a production environment."
    elif [ -z "$POSTGRESQL_PASSWORD" ]; then
        fault "The POSTGRESQL_PASSWORD environment variable is empty or not set. Set the environment variable ALLOW_EMPTY_PASSWORD=yes to allow the container to be started with blank passwords. This is recommended only for development."
    elif [ ${#POSTGRESQL_PASSWORD} -gt 100 ]; then
        fault "The password cannot be longer than 100 characters. Set the environment variable POSTGRESQL_PASSWORD with a shorter value"
    fi
}

validate_tls() {
    expect_yes_or_no POSTGRESQL_ENABLE_TLS "$POSTGRESQL_ENABLE_TLS"
    [ "$POSTGRESQL_ENABLE_TLS" = yes ] || return 0
    expect_yes_or_no POSTGRESQL_TLS_PREFER_SERVER_CIPHERS "$POSTGRESQL_TLS_PREFER_SERVER_CIPHERS"
    if [ -z "$POSTGRESQL_TLS_CERT_FILE" ]; then
        fault "You must provide a X.509 certificate in order to use TLS"
    else
        expect_file "$POSTGRESQL_TLS_CERT_FILE" "X.509 certificate"
    fi
    if [ -z "$POSTGRESQL_TLS_KEY_FILE" ]; then
        fault "You must provide a private key in order to use TLS"
    else
        expect_file "$POSTGRESQL_TLS_KEY_FILE" "private key"
    fi
    if [ -z "$POSTGRESQL_TLS_CA_FILE" ]; then
        warn "A CA X.509 certificate was not provided. Client verification will not be performed in TLS connections"
    else
        expect_file "$POSTGRESQL_TLS_CA_FILE" "CA X.509 certificate"
    fi
    [ -z "$POSTGRESQL_TLS_CRL_FILE" ] || expect_file "$POSTGRESQL_TLS_CRL_FILE" CRL
}

validate() {
    info "Validating settings in POSTGRESQL_* env vars.."
    validate_password
    validate_tls
    [ "$POSTGRESQL_ENABLE_LDAP" = no ] ||
        fault "POSTGRESQL_ENABLE_LDAP=$POSTGRESQL_ENABLE_LDAP: this image, made without a registry, has no LDAP; use a real cluster"
    [ "$POSTGRESQL_REPLICATION_MODE" = master ] ||
        fault "POSTGRESQL_REPLICATION_MODE=$POSTGRESQL_REPLICATION_MODE: this image, made without a registry, has no replication; use a real cluster"
    [ $faults = 0 ] || exit 1
}

# === configuration

quoted() { # VALUE: as a string of SQL or of postgresql.conf
    printf "'%s'" "$(printf %s "$1" | sed "s/'/''/g")"
}

parameter() { # NAME VALUE: a line of postgresql.conf, unless the value is empty
    [ -z "$2" ] || printf '%s = %s\n' "$1" "$(quoted "$2")"
}

library_dir() {
    bin=$(cd "$POSTGRESQL_BIN_DIR" && pwd -P)
    for directory in "$bin/../lib" "$bin/../lib/postgresql" "$bin/../lib64/pgsql" "$bin/../lib/pgsql"; do
        [ ! -e "$directory/plpgsql.so" ] || printf %s "$directory"
    done
}

# What of the libraries asked for is there: PostgreSQL does not start without one that it is told to load.
present_libraries() {
    directory=$(library_dir) present=
    for library in $(printf %s "$POSTGRESQL_SHARED_PRELOAD_LIBRARIES" | tr ',' ' '); do
        if [ -e "$directory/${library%.so}.so" ] || [ -e "$library" ]; then
            present=${present:+$present,}$library
        else
            warn "The library $library is not on this machine; PostgreSQL runs without it"
        fi
    done
    printf %s "$present"
}

write_configuration() { # LISTEN_ADDRESSES
    rm -f "$POSTGRESQL_CONF_FILE"
    {
        parameter listen_addresses "$1"
        parameter port "$POSTGRESQL_PORT_NUMBER"
        parameter unix_socket_directories /tmp
        parameter wal_level "$POSTGRESQL_WAL_LEVEL"
        parameter max_wal_size 400MB
        parameter max_wal_senders 16
        parameter wal_keep_size 128MB
        parameter hot_standby on
        parameter fsync "$POSTGRESQL_FSYNC"
        parameter default_toast_compression "$POSTGRESQL_DEFAULT_TOAST_COMPRESSION"
        parameter password_encryption "$POSTGRESQL_PASSWORD_ENCRYPTION"
        parameter shared_preload_libraries "$(present_libraries)"
        parameter log_connections "$POSTGRESQL_LOG_CONNECTIONS"
        parameter log_disconnections "$POSTGRESQL_LOG_DISCONNECTIONS"
        parameter log_hostname "$POSTGRESQL_LOG_HOSTNAME"
        parameter log_line_prefix "$POSTGRESQL_LOG_LINE_PREFIX"
        parameter log_timezone "$POSTGRESQL_LOG_TIMEZONE"
        parameter timezone "$POSTGRESQL_TIMEZONE"
        parameter client_min_messages "$POSTGRESQL_CLIENT_MIN_MESSAGES"
        parameter max_connections "$POSTGRESQL_MAX_CONNECTIONS"
        parameter tcp_keepalives_idle "$POSTGRESQL_TCP_KEEPALIVES_IDLE"
        parameter tcp_keepalives_interval "$POSTGRESQL_TCP_KEEPALIVES_INTERVAL"
        parameter tcp_keepalives_count "$POSTGRESQL_TCP_KEEPALIVES_COUNT"
        parameter statement_timeout "$POSTGRESQL_STATEMENT_TIMEOUT"
        if [ "$POSTGRESQL_ENABLE_TLS" = yes ]; then
            parameter ssl on
            parameter ssl_prefer_server_ciphers "$POSTGRESQL_TLS_PREFER_SERVER_CIPHERS"
            parameter ssl_cert_file "$POSTGRESQL_TLS_CERT_FILE"
            parameter ssl_key_file "$POSTGRESQL_TLS_KEY_FILE"
            parameter ssl_ca_file "$POSTGRESQL_TLS_CA_FILE"
            parameter ssl_crl_file "$POSTGRESQL_TLS_CRL_FILE"
        fi
        # what stands in conf.d goes before what stands above, as in Bitnami's image
        echo "include_dir = 'conf.d'"
        parameter pgaudit.log "$POSTGRESQL_PGAUDIT_LOG"
        parameter pgaudit.log_catalog "$POSTGRESQL_PGAUDIT_LOG_CATALOG"
        parameter pgaudit.log_parameter "$POSTGRESQL_PGAUDIT_LOG_PARAMETER"
    } >"$POSTGRESQL_CONF_FILE"
}

# The port of a given postgresql.conf is the environment's too, and a socket lies where this image has it.
complete_configuration() {
    info "Custom configuration $POSTGRESQL_CONF_FILE detected"
    conf=$(sed -E '/^#*[[:space:]]*port[[:space:]]*=/d' "$POSTGRESQL_CONF_FILE")
    rm -f "$POSTGRESQL_CONF_FILE"
    {
        printf '%s\n' "$conf"
        parameter port "$POSTGRESQL_PORT_NUMBER"
        printf '%s\n' "$conf" | grep -Eq '^[[:space:]]*unix_socket_directories' ||
            parameter unix_socket_directories /tmp
    } >"$POSTGRESQL_CONF_FILE"
}

write_access() { # METHOD
    # a copy of a mounted file may be read-only
    rm -f "$POSTGRESQL_PGHBA_FILE"
    {
        if [ "$1" != trust ] && [ "$POSTGRESQL_ENABLE_TLS" = yes ] && [ -n "$POSTGRESQL_TLS_CA_FILE" ]; then
            echo "hostssl all all 0.0.0.0/0 cert"
            echo "hostssl all all ::/0 cert"
        fi
        if is_yes "$POSTGRESQL_ALLOW_REMOTE_CONNECTIONS"; then
            echo "host all all 0.0.0.0/0 $1"
            echo "host all all ::/0 $1"
        fi
        echo "local all all $1"
        echo "host all all 127.0.0.1/32 $1"
        echo "host all all ::1/128 $1"
    } >"$POSTGRESQL_PGHBA_FILE"
}

is_given() { # NAME: whether the file is mounted
    [ -f "$POSTGRESQL_MOUNTED_CONF_DIR/$1" ]
}

# A given pg_hba.conf may lock the preparation out, so unless told otherwise it holds only afterwards.
final_access() {
    if is_given pg_hba.conf; then
        info "Custom configuration $POSTGRESQL_PGHBA_FILE detected"
        cp -fL "$POSTGRESQL_MOUNTED_CONF_DIR/pg_hba.conf" "$POSTGRESQL_PGHBA_FILE"
        return
    fi
    for filter in $(printf %s "$POSTGRESQL_PGHBA_REMOVE_FILTERS" | tr ',' ' '); do
        access=$(sed -E "/$filter/d" "$POSTGRESQL_PGHBA_FILE")
        printf '%s\n' "$access" >"$POSTGRESQL_PGHBA_FILE"
    done
}

prepare_access() { # METHOD
    if is_given pg_hba.conf && is_yes "$POSTGRESQL_USE_CUSTOM_PGHBA_INITIALIZATION"; then
        return
    fi
    write_access "$1"
}

require_passwords() {
    if [ -n "$POSTGRESQL_PASSWORD" ]; then prepare_access md5; else prepare_access trust; fi
}

configure() {
    for given in "$POSTGRESQL_MOUNTED_CONF_DIR"/*; do
        [ ! -e "$given" ] || cp -fRL "$given" "$POSTGRESQL_CONF_DIR"
    done
    mkdir -p "$POSTGRESQL_CONF_DIR/conf.d"
    [ "$POSTGRESQL_ENABLE_TLS" = no ] || chmod 600 "$POSTGRESQL_TLS_KEY_FILE" ||
        warn "Could not set compulsory permissions (600) on file $POSTGRESQL_TLS_KEY_FILE"
    if is_given postgresql.conf; then complete_configuration; else write_configuration localhost; fi
}

# === the server while it is prepared

start() {
    info "Starting PostgreSQL in background..."
    pg_ctl start -w -t "$POSTGRESQL_INIT_MAX_TIMEOUT" -D "$POSTGRESQL_DATA_DIR" -l "$POSTGRESQL_LOG_FILE" \
        -o "--config-file='$POSTGRESQL_CONF_FILE' --external_pid_file='$POSTGRESQL_PID_FILE' --hba_file='$POSTGRESQL_PGHBA_FILE'" \
        >/dev/null || {
        cat "$POSTGRESQL_LOG_FILE" >&2
        error "PostgreSQL is not ready after $POSTGRESQL_INIT_MAX_TIMEOUT seconds"
        exit 1
    }
}

stop() {
    [ -f "$POSTGRESQL_DATA_DIR/postmaster.pid" ] || return 0
    info "Stopping PostgreSQL..."
    pg_ctl stop -w -D "$POSTGRESQL_DATA_DIR" -m "$POSTGRESQL_SHUTDOWN_MODE" -t "$POSTGRESQL_PGCTLTIMEOUT" >/dev/null
}

# Runs the SQL on standard input; what it answers is seen only when debugging.
run_sql() { # DATABASE USER PASSWORD [OPTION...]
    sql_database=$1 sql_user=$2 sql_password=$3
    shift 3
    set -- -X -p "$POSTGRESQL_PORT_NUMBER" -h 127.0.0.1 -d "$sql_database" -U "$sql_user" "$@"
    if is_yes "$BITNAMI_DEBUG"; then
        PGPASSWORD=$sql_password psql "$@"
    else
        PGPASSWORD=$sql_password psql "$@" >/dev/null
    fi
}

administer() { # DATABASE: as the administrator, whom the preparation lets in without a password
    run_sql "$1" postgres '' -v ON_ERROR_STOP=1
}

identifier() { # NAME: quoted for SQL
    printf '"%s"' "$(printf %s "$1" | sed 's/"/""/g')"
}

limit() { # COUNT
    [ -z "$1" ] || printf 'CONNECTION LIMIT %s' "$1"
}

create_database() {
    [ "$POSTGRESQL_DATABASE" = postgres ] ||
        echo "CREATE DATABASE $(identifier "$POSTGRESQL_DATABASE");" | administer postgres
}

set_administrator_password() { # PASSWORD
    info "Changing password of postgres"
    echo "ALTER ROLE postgres WITH PASSWORD $(quoted "$1") $(limit "$POSTGRESQL_POSTGRES_CONNECTION_LIMIT");" |
        administer postgres
}

create_user() {
    info "Creating user $POSTGRESQL_USERNAME"
    user=$(identifier "$POSTGRESQL_USERNAME") database=$(identifier "$POSTGRESQL_DATABASE")
    administer "$POSTGRESQL_DATABASE" <<SQL
CREATE ROLE $user WITH LOGIN CREATEDB $(limit "$POSTGRESQL_USERNAME_CONNECTION_LIMIT") PASSWORD $(quoted "$POSTGRESQL_PASSWORD");
GRANT ALL PRIVILEGES ON DATABASE $database TO $user;
ALTER DATABASE $database OWNER TO $user;
ALTER SCHEMA public OWNER TO $user;
SQL
}

make_cluster() {
    [ -z "$POSTGRESQL_INITDB_WAL_DIR" ] || mkdir -p "$POSTGRESQL_INITDB_WAL_DIR"
    # shellcheck disable=SC2086 # the arguments are a list
    set -- -E UTF8 -D "$POSTGRESQL_DATA_DIR" -U postgres $POSTGRESQL_INITDB_ARGS
    [ -z "$POSTGRESQL_INITDB_WAL_DIR" ] || set -- "$@" --waldir "$POSTGRESQL_INITDB_WAL_DIR"
    if is_yes "$BITNAMI_DEBUG"; then initdb "$@"; else initdb "$@" >/dev/null; fi
    # this image's own configuration lies elsewhere
    rm -f "$POSTGRESQL_DATA_DIR/postgresql.conf" "$POSTGRESQL_DATA_DIR/pg_hba.conf"
}

has_data() {
    [ -n "$(find "$POSTGRESQL_DATA_DIR" -mindepth 1 -maxdepth 1 2>/dev/null | head -n 1)" ]
}

initialize() {
    info "Initializing PostgreSQL database..."
    mkdir -p "$POSTGRESQL_TMP_DIR" "$POSTGRESQL_LOG_DIR" "$POSTGRESQL_DATA_DIR"
    chmod u+rwx,go-rwx "$POSTGRESQL_DATA_DIR" || warn "Lack of permissions on data directory!"
    configure
    if has_data; then
        info "Deploying PostgreSQL with persisted data..."
    else
        prepare_access trust
        make_cluster
        start
        create_database
        if [ "$POSTGRESQL_USERNAME" = postgres ]; then
            [ -z "$POSTGRESQL_PASSWORD" ] || set_administrator_password "$POSTGRESQL_PASSWORD"
        else
            [ -z "$POSTGRESQL_POSTGRES_PASSWORD" ] || set_administrator_password "$POSTGRESQL_POSTGRES_PASSWORD"
            create_user
        fi
        stop
    fi
    require_passwords
}

# === the user's own scripts

run_script() { # FILE
    debug "Running $1"
    if [ -x "$1" ]; then
        "$1"
    elif command -v bash >/dev/null; then
        bash "$1"
    else
        sh "$1"
    fi
}

# Whether scripts run as the administrator, who has no password: Bitnami's image then refuses them, once its
# server wants passwords.
lacks_password() {
    [ "$POSTGRESQL_INITSCRIPTS_USERNAME" = postgres ] && [ "$POSTGRESQL_USERNAME" != postgres ] &&
        [ -z "$POSTGRESQL_POSTGRES_PASSWORD" ] && [ "$POSTGRESQL_INITSCRIPTS_PASSWORD" = "$POSTGRESQL_PASSWORD" ]
}

run_user_sql() {
    run_sql "$POSTGRESQL_DATABASE" "$POSTGRESQL_INITSCRIPTS_USERNAME" "$POSTGRESQL_INITSCRIPTS_PASSWORD"
}

# The scripts of a directory in order of name; a failed one ends the preparation, a failed statement of
# SQL does not, as in Bitnami's image.
scripts() { # DIRECTORY NAME-PATTERN...
    directory=$1 && shift
    for pattern in "$@"; do
        find -L "$directory" -type f -name "$pattern" 2>/dev/null
    done | grep -v '/\.\.' | sort
}

run_scripts_before() {
    info "Loading custom pre-init scripts..."
    scripts "$POSTGRESQL_PREINITSCRIPTS_DIR" '*.sh' >"$POSTGRESQL_TMP_DIR/scripts"
    while read -r file; do run_script "$file" </dev/null; done <"$POSTGRESQL_TMP_DIR/scripts"
}

run_scripts() {
    info "Loading custom scripts..."
    done_file=$POSTGRESQL_VOLUME_DIR/.user_scripts_initialized
    scripts "$POSTGRESQL_INITSCRIPTS_DIR" '*.sh' '*.sql' '*.sql.gz' >"$POSTGRESQL_TMP_DIR/scripts"
    if [ ! -s "$POSTGRESQL_TMP_DIR/scripts" ] || [ -f "$done_file" ]; then return 0; fi
    info "Loading user's custom files from $POSTGRESQL_INITSCRIPTS_DIR ..."
    if lacks_password; then
        warn "The user postgres, whom the scripts run as, has no password; this image lets it in, but Bitnami's may refuse: set POSTGRESQL_POSTGRES_PASSWORD and POSTGRESQL_INITSCRIPTS_PASSWORD"
        prepare_access trust
    fi
    start
    while read -r file; do
        case $file in
        *.sh) run_script "$file" </dev/null ;;
        *.sql) run_user_sql <"$file" ;;
        *.sql.gz) gunzip -c "$file" | run_user_sql ;;
        esac
    done <"$POSTGRESQL_TMP_DIR/scripts"
    stop
    require_passwords
    touch "$done_file"
}

validate
mkdir -p "$POSTGRESQL_TMP_DIR"
# a container that is started again finds what the killed one left
rm -f "$POSTGRESQL_DATA_DIR/postmaster.pid" "$POSTGRESQL_PID_FILE" "$POSTGRESQL_TMP_DIR/.initialized"
trap stop EXIT
run_scripts_before
initialize
run_scripts
if is_yes "$POSTGRESQL_ALLOW_REMOTE_CONNECTIONS" && ! is_given postgresql.conf; then
    info "Enabling remote connections"
    write_configuration '*'
fi
final_access
