# Clients that ask all the time, what each was answered, and pods that come and go. Sourced after story_lib.sh.
asker=$BUILD/tests/netns/story_peer
CLIENTS=         # that are looked at
declare -A from=() # the line that counting begins with, for each

load() { # CLIENT PLACE ADDRESS PORT
	background "load-$1" "$2" "$asker" load "$3" "$4"
	wait_for 10 test -s "$LAB/log/load-$1.log"
}
mark() { local c; for c in $CLIENTS; do from[$c]=$(($(wc -l <"$LAB/log/load-$c.log") + 1)); done; }
# count CLIENT ANSWER: since mark; an answer by how it begins, or "failed"
count() { tail -n +"${from[$1]}" "$LAB/log/load-$1.log" | tr ';' '\n' | awk -F= -v k="$2" 'index($1, k) == 1 { n += $2 } END { print n + 0 }'; }
answered() { tail -n +"${from[$1]}" "$LAB/log/load-$1.log" | tr ';' '\n' | awk -F= '$1 != "failed" && $1 !~ /^why/ { n += $2 } END { print n + 0 }'; }
why() { tail -n +"${from[$1]}" "$LAB/log/load-$1.log" | tr ';' '\n' | grep '^why' | sort | uniq -c | head -3; }
share() { local n; n=$(answered "$1"); echo $((100 * $(count "$1" "$2") / (n + (n == 0)))); } # CLIENT ANSWER: in percent
between() { [ "$1" -ge "$2" ] && [ "$1" -le "$3" ] || { echo "$1, not $2 to $3"; return 1; }; }
# What the checks below rest on.
counted() {
	local c text=
	for c in $CLIENTS; do text="$text $c $(answered $c)"; done
	echo "# $variant: answers since the mark:$text"
}
nothing_failed() {
	local c
	for c in $CLIENTS; do
		[ "$(count $c failed)" -eq 0 ] && [ "$(answered $c)" -gt 50 ] ||
			{ echo "$c: $(count $c failed) failed, $(answered $c) answered"; why $c; return 1; }
	done
}
# No more than so many percent of what was asked
few_failed() { # PERCENT
	local c f
	for c in $CLIENTS; do
		f=$(count $c failed)
		[ $((100 * f)) -le $(($1 * ($(answered $c) + f))) ] || { echo "$c: $f failed, $(answered $c) answered"; why $c; return 1; }
	done
}
# all_at ANSWER...: in the last whole second, those of all clients are of these, and nothing failed.
all_at() {
	local c
	for c in $CLIENTS; do
		tail -n 1 "$LAB/log/load-$c.log" | tr ';' '\n' | awk -F= -v names="$*" '
			BEGIN { split(names, name, " ") }
			$2 > 0 { ok = 0; for (i in name) ok += index($1, name[i]) == 1; if (!ok) bad = 1; else n += $2 }
			END { exit bad || !n }' || { echo "$c: $(tail -n 1 "$LAB/log/load-$c.log")"; return 1; }
	done
}
# each_reaches ANSWER...: since mark
each_reaches() {
	local c a
	for c in $CLIENTS; do
		for a in "$@"; do
			[ "$(count $c "$a")" -gt 0 ] || { echo "$c has no answer of $a"; tail -n 2 "$LAB/log/load-$c.log"; return 1; }
		done
	done
}

# Pods of namespace legacy that serve at port 8080, as a Deployment would have them: ready when they answer; when one goes, it
# is told so first, and answers for a while.

pod_ready() { # NAME True|False
	kubectl -n legacy patch pod "$1" --subresource=status --type=merge \
		-p '{"status": {"conditions": [{"type": "Ready", "status": "'"$2"'"}]}}' >/dev/null
}
pod_start() { # NAME NODE [LABELS [PROGRAM...]]
	local name=$1 labels=${3:-app=web}
	READY=False "$lab" pod add "$2" legacy "$name" "$labels" >"$LAB/pod.$name" || return 1
	pod_node[legacy/$name]=$2
	shift $(($# > 3 ? 3 : $#))
	[ $# -gt 0 ] || set -- "$peer"
	background "serve-pod-$name" "pod:legacy/$name" "$@" serve 8080 "$name"
	wait_for 10 at "pod:legacy/$name" curl -sf -m 1 http://127.0.0.1:8080/ && pod_ready "$name" True
}
pod_stop() { # NAME [SECONDS]: gracefully
	kubectl -n legacy delete pod "$1" --grace-period=60 --wait=false >/dev/null || return 1
	sleep "${2:-3}"
	pod_kill "$1"
}
pod_kill() { # NAME: at once
	stop "serve-pod-$1"
	"$lab" pod del legacy "$1"
}
