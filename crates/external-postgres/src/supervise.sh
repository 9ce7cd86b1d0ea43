# Makes a cluster, runs its server, and removes all of it when standard input ends: the program that holds
# the other end has closed it, or the kernel has, when that program was killed.
# Arguments: the directory, the directory of PostgreSQL's programs, the user; then what `postgres` is given.
set -u
directory=$1 programs=$2 user=$3
shift 3
# of signals to the whole group only the server takes notice
trap '' HUP INT QUIT TERM
exec 3<&0 </dev/null
(
    "$programs/initdb" -D "$directory/data" -U "$user" --pwfile="$directory/password" -E UTF8 \
        --locale=C.UTF-8 --no-sync &&
        "$programs/postgres" -D "$directory/data" "$@"
    echo $? >"$directory/ended"
) >"$directory/log" 2>&1 &
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
rm -rf "$directory"
