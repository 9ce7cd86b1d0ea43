#!/bin/sh
# Becomes the server.
set -eu
script_dir=$(cd "$(dirname "$0")" && pwd)
. "$script_dir/../postgresql-env.sh"

[ -z "$POSTGRESQL_DEFAULT_TRANSACTION_ISOLATION" ] ||
    set -- -c "default_transaction_isolation=$POSTGRESQL_DEFAULT_TRANSACTION_ISOLATION" "$@"
# shellcheck disable=SC2086 # the flags are a list
set -- $POSTGRESQL_EXTRA_FLAGS "$@"

info "** Starting PostgreSQL **"
exec postgres -D "$POSTGRESQL_DATA_DIR" --config-file="$POSTGRESQL_CONF_FILE" \
    --external_pid_file="$POSTGRESQL_PID_FILE" --hba_file="$POSTGRESQL_PGHBA_FILE" "$@"
