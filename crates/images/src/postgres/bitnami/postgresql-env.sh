#!/bin/sh
# Settings from the environment, under the names and with the defaults of Bitnami's image.
# Sourced; `script_dir` is where the sourcing script lies.

# empty in a container
prefix=${script_dir%/opt/bitnami/scripts*}
export BITNAMI_DEBUG="${BITNAMI_DEBUG:-false}"

say() { # LEVEL TEXT
    printf 'postgresql %s %-5s ==> %s\n' "$(date +%T.%2N)" "$1" "$2" >&2
}
info() { say INFO "$1"; }
warn() { say WARN "$1"; }
error() { say ERROR "$1"; }
debug() { ! is_yes "$BITNAMI_DEBUG" || say DEBUG "$1"; }

is_yes() {
    case $1 in 1 | [yY][eE][sS] | [tT][rR][uU][eE]) true ;; *) false ;; esac
}

# setting NAME DEFAULT [ALIAS...]: exports NAME as the first of NAME and its aliases that has a value;
# a file named in NAME_FILE goes before the value in NAME.
setting() {
    setting_name=$1 setting_value=$2
    shift 2
    for candidate in "$setting_name" "$@"; do
        eval "setting_file=\${${candidate}_FILE:-} setting_text=\${$candidate:-}"
        if [ -r "$setting_file" ]; then
            setting_text=$(cat "$setting_file")
        elif [ -n "$setting_file" ]; then
            warn "Skipping export of '$candidate'. '$setting_file' is not readable."
        fi
        if [ -n "$setting_text" ]; then
            setting_value=$setting_text
            break
        fi
    done
    export "$setting_name=$setting_value"
}

# settings of the same name after POSTGRESQL_ and POSTGRES_
settings() { # SUFFIX DEFAULT [ALIAS...]
    settings_suffix=$1 settings_default=$2
    shift 2
    setting "POSTGRESQL_$settings_suffix" "$settings_default" "POSTGRES_$settings_suffix" "$@"
}

settings VOLUME_DIR "$prefix/bitnami/postgresql"
settings DATA_DIR "$POSTGRESQL_VOLUME_DIR/data" PGDATA
settings PORT_NUMBER 5432
settings DATABASE postgres POSTGRES_DB
settings USERNAME postgres POSTGRES_USER POSTGRESQL_USER
settings PASSWORD ''
settings POSTGRES_PASSWORD ''
settings INITSCRIPTS_USERNAME "$POSTGRESQL_USERNAME"
settings INITSCRIPTS_PASSWORD "$POSTGRESQL_PASSWORD"
settings USERNAME_CONNECTION_LIMIT '' POSTGRES_USER_CONNECTION_LIMIT
settings POSTGRES_CONNECTION_LIMIT ''
setting ALLOW_EMPTY_PASSWORD no
settings INITDB_ARGS ''
settings INITDB_WAL_DIR ''
settings INIT_MAX_TIMEOUT 60
settings PGCTLTIMEOUT 60
settings SHUTDOWN_MODE fast
settings EXTRA_FLAGS ''
settings ALLOW_REMOTE_CONNECTIONS yes
settings USE_CUSTOM_PGHBA_INITIALIZATION no
settings PGHBA_REMOVE_FILTERS ''
settings REPLICATION_MODE master
settings ENABLE_LDAP no
settings ENABLE_TLS no
settings TLS_CERT_FILE ''
settings TLS_KEY_FILE ''
settings TLS_CA_FILE ''
settings TLS_CRL_FILE ''
settings TLS_PREFER_SERVER_CIPHERS yes
settings SHARED_PRELOAD_LIBRARIES pgaudit
settings PGAUDIT_LOG ''
settings PGAUDIT_LOG_CATALOG ''
settings PGAUDIT_LOG_PARAMETER ''
settings LOG_CONNECTIONS ''
settings LOG_DISCONNECTIONS ''
settings LOG_HOSTNAME ''
settings LOG_LINE_PREFIX ''
settings LOG_TIMEZONE ''
settings TIMEZONE ''
settings CLIENT_MIN_MESSAGES error
settings MAX_CONNECTIONS ''
settings TCP_KEEPALIVES_IDLE ''
settings TCP_KEEPALIVES_INTERVAL ''
settings TCP_KEEPALIVES_COUNT ''
settings STATEMENT_TIMEOUT ''
settings WAL_LEVEL replica
settings FSYNC on
settings DEFAULT_TOAST_COMPRESSION ''
settings PASSWORD_ENCRYPTION ''
settings DEFAULT_TRANSACTION_ISOLATION ''

export POSTGRESQL_BASE_DIR="$prefix/opt/bitnami/postgresql"
export POSTGRESQL_BIN_DIR="$POSTGRESQL_BASE_DIR/bin"
export POSTGRESQL_CONF_DIR="$POSTGRESQL_BASE_DIR/conf"
export POSTGRESQL_CONF_FILE="$POSTGRESQL_CONF_DIR/postgresql.conf"
export POSTGRESQL_PGHBA_FILE="$POSTGRESQL_CONF_DIR/pg_hba.conf"
export POSTGRESQL_MOUNTED_CONF_DIR="$POSTGRESQL_VOLUME_DIR/conf"
export POSTGRESQL_LOG_DIR="$POSTGRESQL_BASE_DIR/logs"
export POSTGRESQL_LOG_FILE="$POSTGRESQL_LOG_DIR/postgresql.log"
export POSTGRESQL_TMP_DIR="$POSTGRESQL_BASE_DIR/tmp"
export POSTGRESQL_PID_FILE="$POSTGRESQL_TMP_DIR/postgresql.pid"
export POSTGRESQL_INITSCRIPTS_DIR="$prefix/docker-entrypoint-initdb.d"
export POSTGRESQL_PREINITSCRIPTS_DIR="$prefix/docker-entrypoint-preinitdb.d"
export PATH="$POSTGRESQL_BIN_DIR:$PATH"
