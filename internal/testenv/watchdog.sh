# Ends a server and removes its folder when the process that started it is gone.
#
# Standard input is a pipe whose other end only that process holds: reading ends
# when the process has ended, even by SIGKILL. A server is known by the working
# folder of its processes and not by their group, since PostgreSQL gives each of
# its backends a session of its own.
#
# $1: the server's folder, $2: the signal to try first, $3: "remove" or "keep"
dir=$1 signal=$2 after=$3
cat >/dev/null
tries=0
while :; do
	pids=$(find /proc/[0-9]*/cwd -maxdepth 0 \( -lname "$dir" -o -lname "$dir/*" \) 2>/dev/null | cut -d/ -f3)
	[ -n "$pids" ] || break
	kill -s "$signal" $pids 2>/dev/null
	tries=$((tries + 1))
	# Five seconds for the polite signal, then force.
	[ "$tries" -lt 50 ] || signal=KILL
	sleep 0.1
done
[ "$after" = keep ] || rm -rf "$dir"
