# Faults under traffic, tokens, the end of a membership. Sourced by story.sh.

# Streams: numbered packets there and back, and others that must never arrive.

streams_begin() { # SECONDS
	local count=$(($1 * 1000))
	background echo-host1 host1 "$stream" echo 7000
	background echo-resistance pod:resistance "$stream" echo 7000
	background sink-host1 host1 "$peer" sink 7001
	background sink-empire pod:empire "$peer" sink 7001
	wait_for 5 grep -q . "$LAB/log/sink-empire.log"
	background stream-in pod:resistance "$stream" send $HOST 7000 $count 1000
	background stream-out host1 "$stream" send "${pod_ip[resistance]}" 7000 $count 1000
	background forbidden-in pod:empire "$stream" send $HOST 7001 $count 1000
	background forbidden-out host1 "$stream" send "${pod_ip[empire]}" 7001 $count 1000
}
stream_is_whole() { cat "$LAB/log/$1.log"; grep -q " lost 0 " "$LAB/log/$1.log"; }
streams_end() { # TEXT
	local s
	for s in stream-in stream-out forbidden-in forbidden-out; do wait_for 90 not is_running $s; done
	check "$1: nothing is lost from the pod ($(cat "$LAB/log/stream-in.log"))" stream_is_whole stream-in
	check "$1: nothing is lost to the pod ($(cat "$LAB/log/stream-out.log"))" stream_is_whole stream-out
	check "$1: the forbidden stream was sent" grep "^sent [1-9].* received 0 " "$LAB/log/forbidden-in.log"
	check "$1: nothing forbidden arrives at the host" is "$(cat "$LAB/log/sink-host1.log")" 0
	check "$1: nothing forbidden arrives at the pod" is "$(cat "$LAB/log/sink-empire.log")" 0
	for s in echo-host1 echo-resistance sink-host1 sink-empire; do stop $s; done
}

objects_of_host() {
	kubectl get ciliumnode ahch-to -o 'jsonpath={.metadata.uid} '
	kubectl -n legacy get ciliumendpoint ahch-to -o 'jsonpath={.metadata.uid} {.status.state} {.status.identity.id} '
	kubectl get ciliumidentity "$id" -o 'jsonpath={.metadata.uid}'
}

story_faults() {
	local n
	from_orgs resistance
	to_orgs resistance
	check "the policies for the streams hold" soon dropped pod:empire $HOST 80
	check "in both directions" soon dropped host1 "${pod_ip[empire]}" 8080
	streams_begin 20
	for n in 1 2 3; do
		sleep 1
		daemon_kill host1
		daemon host1
		wait_for 10 state_is host1 ok
	done
	check "after three kills it is well" soon state_is host1 ok
	for n in 1 2; do
		stop agentd-host1
		sleep 0.5
		daemon host1
		wait_for 10 state_is host1 ok
	done
	check "after two restarts it is well" soon state_is host1 ok
	cp "$BUILD/mesh-agentd" "$LAB/mesh-agentd.next"
	stop agentd-host1
	daemon host1 "$LAB/mesh-agentd.next"
	check "after the upgrade it is well" soon state_is host1 ok
	check "the upgraded program runs" runs_program host1 "$LAB/mesh-agentd.next"
	streams_end "kills, restarts, upgrade"
}

# With the policies of story_faults in force.
story_outage() {
	local outage=15
	[ -z "${LONG:-}" ] || outage=60
	streams_begin $((outage + 8))
	sleep 1
	"$lab" api stop
	sleep $((outage / 3))
	check "API server away: admitted traffic passes" reaches pod:resistance $HOST 80 host1
	check "API server away: forbidden traffic does not" dropped pod:empire $HOST 80
	check "API server away: cluster names are answered" reaches_name resistance.default.svc.cluster.local
	daemon_kill host1
	daemon host1
	sleep $((outage / 3))
	check "restarted meanwhile: admitted traffic passes" reaches pod:resistance $HOST 80 host1
	check "restarted meanwhile: forbidden traffic does not" dropped pod:empire $HOST 80
	check "restarted meanwhile: egress policy holds" dropped host1 "${pod_ip[empire]}" 8080
	check "the status says that the API server is away" soon state_is_known_but host1 ok
	sleep $((outage / 3))
	check "the API server is back" "$lab" api start
	check "and the host is well" wait_for 90 state_is host1 ok
	streams_end "API server away"
	from_orgs resistance,empire
	check "a change of policy after the outage arrives" soon reaches pod:empire $HOST 80 host1
	kubectl -n legacy delete ciliumnetworkpolicy ingress egress >/dev/null
	check "the stock agent follows the API server again, too" peers_follow
}

# Peers wait longer and longer before they ask again: what they know of a new pod tells that they do. Its own node may be
# late, too; a kubelet would try again.
peers_follow() {
	wait_for 90 probe_is_added && wait_for 90 peer_knows "$(<"$LAB/probe")" && "$lab" pod del default probe
}
probe_is_added() { "$lab" pod add node2 default probe >"$LAB/probe"; }
peer_knows() { at node1 cilium-dbg bpf ipcache list | grep "^$1/32 .*tunnelendpoint=172.19.0.12"; }

story_collect() {
	local collect=70
	[ -z "${LONG:-}" ] || collect=300
	while [ $((SECONDS - joined_at)) -lt $collect ]; do sleep 1; done
	check "after $((SECONDS - joined_at)) s with garbage collection each 30 s the objects are the same" is "$(objects_of_host)" "$objects"
	check "and the stock agent still knows the host" in_ipcache node1 $HOST "$id"
}

runs_program() {
	local pid
	read -r pid _ <"$LAB/pid/agentd-$1"
	is "$(readlink "/proc/$pid/exe")" "$2"
}

# Tokens

# forge TOKEN JQ-FILTER: alters a token and makes its checksum right again, as an attacker could
forge() {
	local json sum
	json=$(decode "${1#mesh1.}" | jq -cS "$2 | del(.sum)")
	sum=$(printf '%s' "$json" | sha256sum | cut -c1-16)
	echo "mesh1.$(jq -c --arg s "$sum" '. + {sum: $s}' <<<"$json" | tr -d '\n' | encode)"
}
encode() { base64 -w0 | tr '+/' '-_' | tr -d =; }
decode() { local s=$1; while [ $((${#s} % 4)) -ne 0 ]; do s=$s=; done; printf '%s' "$s" | tr -- '-_' '+/' | base64 -d; }
join_ends_with() { # CODE TOKEN: on a machine of its own
	local code
	at world "$BUILD/mesh-join" --no-start --state-dir "$LAB/host/thief" --token "$2"
	code=$?
	is $code "$1" && [ ! -e "$LAB/host/thief/joined.json" ]
}
expire() { # JWT: the same, long over
	local head rest payload
	head=${1%%.*} rest=${1#*.}
	payload=$(decode "${rest%%.*}" | jq -c '.exp = 1000000000')
	echo "$head.$(printf '%s' "$payload" | encode).${rest#*.}"
}

story_tokens() {
	local t jwt
	t=$(token_in "$LAB/token.ahch-to")
	check "a used token is refused on another machine" join_ends_with 5 "$t"
	# the rest is decided before the address of the machine is
	check "dagobah is enrolled" enrol_plain dagobah --labels jedi=yoda --address $WORLD
	t=$(token_in "$LAB/token.dagobah")
	jwt=$(decode "${t#mesh1.}" | jq -r .jwt)
	check "an expired token is refused" join_ends_with 4 "$(forge "$t" ".jwt = \"$(expire "$jwt")\"")"
	check "half a token is refused" join_ends_with 6 "${t:0:500}"
	check "a tampered token is refused" join_ends_with 6 "${t:0:300}$([ "${t:300:1}" = x ] && echo y || echo x)${t:301}"
	check "a token with another CA is refused" join_ends_with 7 "$(forge "$t" ".ca = $(other_ca)")"
	check "a token of another cluster is refused" join_ends_with 7 "$(forge "$t" '.uid = "00000000-0000-0000-0000-000000000000"')"
	check "the token itself works" join_in_place world "$t" 0
	check "dagobah is removed" admin host remove dagobah
	rm -rf "$LAB/host/thief"
}
enrol_plain() {
	admin host add "$1" --namespace legacy "${@:2}" >"$LAB/token.$1"
}
other_ca() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=kubernetes -keyout /dev/null 2>/dev/null | jq -Rs .
}
join_in_place() { # PLACE TOKEN CODE
	at "$1" "$BUILD/mesh-join" --no-start --state-dir "$LAB/host/thief" --token "$2"
	is $? "$3"
}
# Before the host joins: its cases know how an enrolled host's objects look.
attacks() {
	local code
	kubectl -n mesh-hosts create token ahch-to --duration=1h >"$LAB/token.attack"
	sleep 2 # until the API server enforces the policies
	"$here/attack.sh" "$KUBECONFIG" "$LAB/token.attack" ahch-to crait legacy
	code=$?
	rm -f "$LAB/token.attack"
	return $code
}

# The end

status_says() { grep -i "$2" <<<"$(ctl "$1" status)"; } # the exit status of meshctl is another matter
kernel_is_clean() {
	kernel_state >"$LAB/kernel.after"
	diff "$LAB/kernel.before" "$LAB/kernel.after"
}
cep_state_is() { is "$(kubectl -n legacy get ciliumendpoint ahch-to -o 'jsonpath={.status.state}')" "$1"; }

slices_of() { kubectl -n legacy get endpointslices -l "mesh-external-agent.io/host=$1" -o name; }
story_remove() {
	kubectl -n legacy annotate service crait io.cilium/portal=true >/dev/null
	check "crait stands behind its service" soon backend_listed $OTHER
	check "crait is removed" admin host remove crait
	check "its slice is gone" is "$(slices_of crait)" ''
	check "the stock agent has no such backend any more" soon backend_not_listed $OTHER
	check "the stock agent forgets it" soon not_in_ipcache node1 $OTHER "$id_other"
	check "its daemon says so" soon status_says crait removed
	check "and its status is no success" exits_with 1 ctl crait status
	check "it has not published itself again" is "$(slices_of crait)" ''
	check "the other host's slice stays" is "$(slices_of ahch-to)" endpointslice.discovery.k8s.io/ahch-to-mesh-ahch-to
}

story_end() {
	check "ahch-to leaves" ctl host1 leave --yes
	check "the stock agent forgets it, too" soon not_in_ipcache node1 $HOST "$id"
	check "its endpoint is disconnected" soon cep_state_is disconnected
	check "the stock agent has no backend any more" soon backend_not_listed
	check "nothing is left in the kernel" soon kernel_is_clean
	check "no credential is left" not [ -e "$LAB/host/host1/state/token" ]
	check "the host still works: it reaches another machine" reaches host1 $WORLD 80 world
	check "it joins again with a new token" join_again
}
join_again() {
	enrol ahch-to --labels jedi=luke --address $HOST,fd00:19::2 --serve ahch-to && stop agentd-host1 &&
		join_host host1 "$LAB/token.ahch-to" && daemon host1 && soon in_ipcache node1 $HOST "$id"
}
