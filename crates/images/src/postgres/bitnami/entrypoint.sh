#!/bin/sh
# Prepares the database when it is to be run, then becomes the command.
set -eu
script_dir=$(cd "$(dirname "$0")" && pwd)
. "$script_dir/../postgresql-env.sh"

# PostgreSQL refuses to run as root; the image's own user is 1001. On the node of an ordinary user there is
# one user alone, which then gets another number.
become_user() { # COMMAND...
    mkdir -p "$POSTGRESQL_DATA_DIR"
    if setpriv --reuid=1001 --regid=0 --clear-groups true 2>/dev/null; then
        chown -R 1001:0 "$POSTGRESQL_DATA_DIR" "$POSTGRESQL_CONF_DIR" "$POSTGRESQL_LOG_DIR" "$POSTGRESQL_TMP_DIR"
        chown 1001:0 "$POSTGRESQL_VOLUME_DIR"
        exec setpriv --reuid=1001 --regid=0 --clear-groups -- "$0" "$@"
    fi
    exec unshare --user --map-user=1001 --map-group=0 -- "$0" "$@"
}
if [ "$(id -u)" = 0 ]; then become_user "$@"; fi

# PostgreSQL wants a name for its user
if ! getent passwd "$(id -u)" >/dev/null; then
    echo "postgresql:x:$(id -u):$(id -g)::/:/bin/sh" >>"$prefix/etc/passwd"
fi

case "$*" in
*"$script_dir/run.sh"*)
    info "** Starting PostgreSQL setup **"
    "$script_dir/setup.sh"
    touch "$POSTGRESQL_TMP_DIR/.initialized"
    info "** PostgreSQL setup finished! **"
    ;;
esac
exec "$@"
