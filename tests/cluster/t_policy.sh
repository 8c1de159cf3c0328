#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A policy means the same on a pod of Cilium and on a joined host: the same labels, the same policies, the same
# peers; everything is sent in both directions, and what arrives must be equal. policy.allowed has the exceptions.
#   RANDOM_SETS=60 CASES=50   how many random sets, and cases of each file of tests/data/policy-*.yaml, or "all"
#   SEED=N FROM=N             the random sets to begin with; the seed is printed
#   OPTIONS="key=value ..."   keys of cilium-config for the whole lab: cases with the same `opts` run
#   KEEP=1                    keeps the lab when done, and says how to enter and end it
# Needs root, the peers (peers.sh), jq, and the built programs in BUILD. Lives in namespaces of its own.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export BUILD=${BUILD:-$PWD}
SEED=${SEED:-7} FROM=${FROM:-0} RANDOM_SETS=${RANDOM_SETS:-60} CASES=${CASES:-50}
[ "$CASES" != all ] || CASES=100000

. "$here/lib.sh"
lab_enter "mesh-agentd mesh-join meshctl tests/cluster/policy_diff" jq "$@"
. "$here/story_lib.sh"
give_up() { echo "FAIL policy: $*"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }
trap 'lab_leave "$LAB/again runs policy_diff"' EXIT
trap 'exit 130' INT TERM

# The names and labels are those of tests/unit/policy/fixture.c: A, B, P, Q are pods, C another joined host,
# N1 and N2 nodes, S the API server, W to Z machines outside, all of them one place with many addresses.
declare -A address=([W]=$WORLD [X]=198.51.100.77 [Y]=198.51.100.7 [Z]=10.1.2.3 [V]=203.0.113.9 [C]=$OTHER
	[N1]=172.19.0.11 [N2]=172.19.0.12 [S]=$SERVER)
outside="198.51.0.0/16 203.0.113.0/24 192.0.2.0/24 10.1.0.0/16 10.2.0.0/15 10.9.0.0/16"
own_ports='[{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090},
	{"name": "syslog", "containerPort": 7000, "protocol": "UDP"}]'

pod() { # NAME NODE NAMESPACE POD LABELS PORTS
	local try
	# The first pod of a node waits for the compiler, longer than the CNI plugin does on a busy machine.
	for try in 1 2 3 4; do
		address[$1]=$(PORTS=$6 "$lab" pod add "$2" "$3" "$4" "$5" 2>"$LAB/pod.err") && break
		[ $try != 4 ] || { tail -1 "$LAB/pod.err"; give_up "pod $3/$4 does not start"; }
		"$lab" pod del "$3" "$4"
	done
	places+=("place $1 /run/netns/$MARK-pod-$3-$4")
}

cluster() {
	local r n o flags=
	for o in ${OPTIONS:-}; do flags="$flags --$o"; done
	export AGENT_FLAGS="--routing-mode=tunnel --tunnel-protocol=vxlan --cluster-name=c1
		--policy-trigger-interval=10ms $flags"
	export OPERATOR_FLAGS=--cluster-name=c1 CONFIG="cluster-name=c1 ${OPTIONS:-}"
	lab_up 2 || give_up "the cluster does not start"
	"$lab" host add crait $OTHER && "$lab" host add world $WORLD || give_up "no machines"
	for r in $outside; do
		at world ip route add local "$r" dev lo
		for n in host1 crait node1 node2; do at $n ip route add "$r" via $WORLD; done
		ip route add "$r" via $WORLD
	done
	for n in 1 2; do
		at world ip route add 10.244.$n.0/24 via 172.19.0.1$n
		ip route add 10.244.$n.0/24 via 172.19.0.1$n
	done
	for n in ext web ports; do kubectl create namespace $n >/dev/null; done
	kubectl label namespace web team=blue >/dev/null
}

pods() {
	pod A node2 ext a app=a '[{"name": "http", "containerPort": 8080}]'
	pod B node1 web b app=b '[]'
	pod P node2 ports p app=p '[{"name": "web", "containerPort": 8080}, {"name": "bad", "containerPort": 666}]'
	pod Q node1 ports q app=q '[{"name": "web", "containerPort": 9090}]'
	pod twin node1 ext twin app=vm,jedi=luke "$own_ports"
}

join() { # HOST NAME ADDRESS LABELS
	host_dir "$1"
	cat >>"$(conf_of "$1")" <<-C
	failsafe: { inbound = ( ); };
	named-ports = ( { name = "http"; port = 8080; }, { name = "metrics"; port = 9090; },
	  { name = "syslog"; port = 7000; protocol = "udp"; } );
	C
	admin host add "$2" --namespace ext --labels "$4" --address "$3" >"$LAB/token.$2" || give_up "$2 is not enrolled"
	at "$1" "$BUILD/mesh-join" --no-start --config "$(conf_of "$1")" --token "$(token_in "$LAB/token.$2")" >"$LAB/join.$2" 2>&1 ||
		{ cat "$LAB/join.$2"; give_up "$2 does not join"; }
	daemon "$1"
	wait_for 20 state_is "$1" ok || { ctl "$1" status; give_up "$2 is not well"; }
}

matrix() {
	local n p
	echo "place outer /proc/self/ns/net" # first: policy_diff is still there when it reads this
	printf '%s\n' "${places[@]}"
	for p in host1 crait world node1 node2; do echo "place $p /run/netns/$MARK-$p"; done
	echo "pod twin ${address[twin]}"
	echo "host host1 $HOST"
	for n in A B P Q; do echo "peer $n $n ${address[$n]}"; done
	for n in W X Y Z V; do echo "peer $n world ${address[$n]}"; done
	echo "peer C crait ${address[C]}"
	for n in 1 2; do echo "peer N$n node$n ${address[N$n]}"; done
	echo "peer S outer ${address[S]}"
	for n in in out; do
		for p in tcp/22 tcp/80 tcp/100 tcp/443 tcp/8080 tcp/9090 udp/80 udp/7000 icmp/8; do echo "l4 $n $p"; done
	done
	echo "l4 in icmp/13"
	echo "l4 out tcp/6443"
}

identity_of_twin() { kubectl -n ext get ciliumendpoint twin -o 'jsonpath={.status.id}'; }

variant=policy start=$SECONDS places=()
cluster
check "the cluster is set up" admin cluster setup
pods
join host1 ahch-to $HOST app=vm,jedi=luke
join crait crait $OTHER app=other,jedi=rey
matrix >"$LAB/matrix"
read -r node_pid _ <"$LAB/pid/place-node1"
node_files=/proc/$node_pid/root
export CILIUM_SOCKET=$node_files/run/cilium/cilium.sock SERVER="https://$SERVER:6443" AGENT=$LAB/host/host1/run/control.sock
ENDPOINT=$(identity_of_twin) # its number on its node
# as the cases write them
OPTIONS=$(printf '%s\n' ${OPTIONS:-} | jq -Rnc '[inputs | select(. != "") | split("=") | {(.[0]):
	(if .[1] == "true" then true elif .[1] == "false" then false elif .[0] == "policy-cidr-match-mode" then .[1] | split(",")
	else .[1] end)}] | add // {}')
export ENDPOINT OPTIONS
echo "# the lab is up after $((SECONDS - start)) s; seed $SEED, options $OPTIONS"
cat >"$LAB/again" <<-A
	#!/bin/sh
	# again ARGUMENT... of policy_diff after the two files
	export LAB='$LAB' SERVER='$SERVER' CILIUM_SOCKET='$CILIUM_SOCKET' ENDPOINT='$ENDPOINT' AGENT='$AGENT' OPTIONS='$OPTIONS'
	exec '$BUILD/tests/cluster/policy_diff' '$LAB/matrix' '$here/policy.allowed' "\$@"
A
chmod +x "$LAB/again"
start=$SECONDS
"$BUILD/tests/cluster/policy_diff" "$LAB/matrix" "$here/policy.allowed" \
	cases "$here/../data/policy-cases.yaml" "$FROM" "$CASES" cases "$here/../data/policy-paragraphs.yaml" "$FROM" "$CASES" \
	random "$SEED" "$FROM" "$RANDOM_SETS" | tee "$LAB/result"
status=${PIPESTATUS[0]}
echo "# policies: $((SECONDS - start)) s"
if [ "$status" = 0 ]; then pass "$(tail -2 "$LAB/result" | head -1)"; else fail "pod and host differ"; fi
lab_told t_policy.sh
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
