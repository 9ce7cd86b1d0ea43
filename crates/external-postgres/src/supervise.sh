# Makes a cluster, runs its server, and removes all of it when standard input ends: the program that holds
# the other end has closed it, or the kernel has, when that program was killed.
# Arguments: where its directory is made, the user, the port. Prints the directory, and waits for a line with
# the directory of PostgreSQL's programs before it uses what was put there.
set -u
umask 077
parent=$1 user=$2 port=$3
# of signals to the whole group only the server takes notice
trap '' HUP INT QUIT TERM
exec 3<&0 </dev/null

run() {
    "$programs/initdb" -D "$directory/data" -U "$user" --pwfile="$directory/password" -E UTF8 \
        --locale=C.UTF-8 --no-sync || return
    set -- listen_addresses=127.0.0.1 port="$port" unix_socket_directories= hba_file="$directory/pg_hba.conf" \
        fsync=off full_page_writes=off synchronous_commit=off # it need not survive anything
    [ ! -e "$directory/server.key" ] ||
        set -- "$@" ssl=on ssl_cert_file="$directory/server.crt" ssl_key_file="$directory/server.key"
    count=$#
    while [ "$count" -gt 0 ]; do
        set -- "$@" -c "$1"
        shift
        count=$((count - 1))
    done
    "$programs/postgres" -D "$directory/data" "$@"
}

directory=$(mktemp -d "$parent/prefect-e2e-postgres-XXXXXXXXXX") || exit 1
echo "$directory"
if IFS= read -r programs <&3; then
    {
        run
        echo $? >"$directory/ended"
    } >"$directory/log" 2>&1 &
    server=$!
    read -r _ <&3
    # again and again: a signal between initdb and the server reaches neither
    while :; do
        kill -QUIT 0
        sleep 0.1
    done &
    ending=$!
    wait "$server"
    kill -KILL "$ending"
fi
rm -rf "$directory"
