#!/bin/sh
# meshctl against a small daemon that answers from a file: output, exit codes, messages.
set -u
ctl=$builddir/meshctl
here=$srcdir/tests/unit/cli
fake=$builddir/tests/unit/cli/fake_daemon
tmp=$(mktemp -d) || exit 99
sock=$tmp/s
pid=
cleanup() {
	[ -z "$pid" ] || kill "$pid"
	rm -rf "$tmp"
}
trap cleanup EXIT
bad=0
fail() {
	echo "FAIL: $*"
	bad=1
}
# run CODE ARGUMENTS...: output in $out, messages in $err
run() {
	want=$1
	shift
	out=$("$ctl" "$@" 2>"$tmp/err" </dev/null)
	got=$?
	err=$(cat "$tmp/err")
	[ "$got" = "$want" ] || fail "meshctl $*: exit $got, not $want: $out $err"
}
has() {
	case $out in *"$1"*) ;; *) fail "no \"$1\" in: $out" ;; esac
}
says() {
	case $err in *"$1"*) ;; *) fail "no \"$1\" in: $err" ;; esac
}

# without a daemon
run 3 --socket "$sock" status
says "systemctl status mesh-external-agent"
run 3 --socket "$sock" monitor
run 0 config check "$srcdir/packaging/config/mesh-external-agent.conf"
has ": valid"
echo 'dns: { prt = 1; };' >"$tmp/bad.conf"
run 1 config check "$tmp/bad.conf"
says "bad.conf:1: dns.prt: unknown key"
echo 'log-levl = "debug";' >"$tmp/typo.conf"
run 1 config check "$tmp/typo.conf"
says "typo.conf:1: log-levl: unknown key, did you mean log-level?"
run 1 -c "$tmp/bad.conf" config show
run 0 config check # no file, or a valid one, where this build looks for it
run 0 config check -o json
has '"valid": true'
run 0 config show
run 1 config check "$tmp/none.conf"
echo "control-socket = \"$sock\";" >"$tmp/good.conf"
run 3 -c "$tmp/good.conf" status
says "$sock"
# what is named does not control the terminal, not by the controls of ISO 6429 in UTF-8 either
run 3 --socket "$(printf '%s/\302\23331mX' "$tmp")" status
says "/?31mX"
# a configuration that is named must be there: the default daemon is another one
run 1 -c "$tmp/none.conf" status
says "none.conf"
run 1 -c "$tmp/bad.conf" leave --yes
says "bad.conf:1"
run 1 -c "$tmp/none.conf" monitor --count 1
says "none.conf"
# without the daemon a report says so, once
run 0 --socket "$sock" bugreport -f "$tmp/alone.tar"
[ "$(printf '%s\n' "$err" | grep -c "does not answer")" = 1 ] || fail "bugreport without a daemon: $err"
tar tf "$tmp/alone.tar" | grep -q versions.txt || fail "bugreport without a daemon has nothing"
echo 'health-probes = ( { service = "s"; type = "exec"; command = [ "/usr/bin/curl", "-u", "u:Pa55w0rd", "http://u:s3cr3t@h" ]; } );' >"$tmp/probe.conf"
run 0 --socket "$sock" -c "$tmp/probe.conf" bugreport -f "$tmp/probe.tar"
grep -q /usr/bin/curl "$tmp/probe.tar" || fail "bugreport does not name a probe's command"
! grep -q 'Pa55w0rd\|s3cr3t' "$tmp/probe.tar" || fail "bugreport tells a password"
# the admin's side: what is missing, and the way out
KUBECONFIG=$tmp/none run 1 host list
says "there is no kubeconfig $tmp/none: name one with --kubeconfig FILE or in \$KUBECONFIG"
mkdir -p "$tmp/.kube"
: >"$tmp/.kube/config"
KUBECONFIG= HOME=$tmp run 1 host list
says "kubeconfig $tmp/.kube/config is empty"
KUBECONFIG=$tmp/none:$tmp/none2 run 1 host list
says "is there, or all are empty"
head -c 2000000 /dev/zero | tr '\0' '#' >"$tmp/big"
KUBECONFIG=$tmp/big run 5 host list
says "this is no kubeconfig"
KUBECONFIG=$tmp/none run 2 host remove ""
says "host name"
KUBECONFIG=$tmp/none run 2 host remove ../x
says "host name"

# command lines
run 2
says "usage: meshctl"
run 0 --help
has "ipcache get ADDRESS"
run 0 help monitor
has "--identity ID"
run 0 dns query --help
has "usage: meshctl dns query [options] NAME [TYPE]"
run 0 dns --help
has "dns status"
run 0 --version
has "meshctl "
# a noun that is a command by itself shows its options and its other commands; what is long has a line of its own
for asked in "help migrate" "migrate --help"; do
	run 0 $asked
	has "usage: meshctl migrate [options] SERVICE"
	has "--max-latency-factor N"
	has "migrate pause SERVICE"
done
run 0 help policy
has "  policy shadow [[NAMESPACE/]NAME [on|off|auto]]
                               What policies"
for asked in nothing "status nothing" "policy nothing"; do
	run 2 help $asked
	says "$asked: no such command"
done
for asked in --version --help "help status" "completion bash" "cluster setup --print" "config show $srcdir/packaging/config/mesh-external-agent.conf"; do
	"$ctl" $asked >/dev/full 2>"$tmp/err"
	[ $? = 5 ] && [ "$(cat "$tmp/err")" = "meshctl: the output could not be written" ] || fail "$asked on a full device: $(cat "$tmp/err")"
done
for program in mesh-join mesh-agentd; do
	for asked in --version --help; do
		"$builddir/$program" $asked >/dev/full 2>"$tmp/err" && fail "$program $asked on a full device is no error"
		grep -q 'could not be written' "$tmp/err" || fail "$program $asked on a full device: $(cat "$tmp/err")"
	done
done
run 2 nothing
says "no such command"
run 2 endpoint
says "meshctl endpoint --help"
run 2 endpoint nothing
run 2 status superfluous
says "superfluous"
run 2 identity get
says "missing"
run 2 identity get 1x
run 2 ipcache get 300.1.1.1
run 2 ipcache list 10.0.0.0/33
run 2 -o yaml status
says "only table and json"
run 2 status --nothing
run 2 --timeout 0 status
run 2 monitor --peer x
run 2 monitor --count 0
run 2 monitor --identity -1
run 2 monitor --direction up
run 2 dns query x --type BOGUS
run 2 dns query x AXFR
run 2 dns query x A --type A
run 2 dns query 'a b'
for peer in "" "--peer-ip x" "--identity x" "--identity 5 --peer-ip 192.0.2.1"; do
	run 2 policy why $peer --direction ingress --protocol tcp --port 1
done
run 2 policy why --identity 5 --direction ingress --protocol tcp
says "--port is missing"
run 2 policy why --identity 5 --direction ingress --protocol icmp
says "--icmp-type is missing"
run 3 --socket "$sock" policy why --identity 5 --direction ingress --protocol icmp --icmp-type 8
run 2 leave
says "--yes"
run 2 migrate
run 2 migrate council
says "--to pods or --to host"
run 2 migrate council --to moon
run 2 migrate status council council
run 2 migrate pause
for option in "--step 0" "--step 101%" "--step x" "--step 1.x%" "--by magic" "--interval 2s" "--interval 1500ms" "--interval 30" \
	"--max-errors 101%" "--max-latency-factor 0" "--max-latency-factor 1.5"; do
	run 2 migrate council --to pods $option
done
run 2 migrate ../council --to pods
says "no name of a Service"
# a Service whose name is that of a command
run 3 --socket "$sock" migrate --to pods status

# with -o json an error is an object, too, wherever the option stands; people read the same
error_json() { # CODE ARGUMENTS...
	run "$@"
	[ "$out" = "{\"error\":\"$(printf '%s\n' "$err" | sed -n '$s/^meshctl: //p')\",\"exit\":$1}" ] || fail "meshctl $*: $out, $err"
}
export KUBECONFIG="$tmp/none"
for line in "3 --socket $sock -o json status" "3 --socket $sock monitor -o json" "3 --socket $sock monitor --json" "1 -o json config check $tmp/bad.conf" \
	"1 host list -o json" "2 nothing -o json" "2 endpoint nothing -o json" "2 help nothing -o json" "2 status superfluous -o json" "2 status --nothing -o json" \
	"2 identity get 1x -o json" "2 ipcache get x -o json" "2 dns query x AXFR -o json" "2 monitor --peer x -o json" "2 leave -o json" \
	"2 migrate x --to pods --step 0 -o json" "2 policy verdict -o json" "2 policy why -o json" "2 -o json --timeout 0 status" \
	"2 host remove --output=json" "2 policy shadow a/b/c -ojson"; do
	error_json $line
done
unset KUBECONFIG

"$fake" "$sock" "$here/data/fixture.json" &
pid=$!
n=0
while [ ! -S "$sock" ] && [ $n -lt 100 ]; do
	n=$((n + 1))
	sleep 0.05
done

run 1 --socket "$sock" status
has "degraded, version 0.1.0, up 3d4h"
has "legacy/ahch-to, identity 16801"
has "not connected, last event 1m1s ago"
has "12 CiliumEndpoint (1 rejected), 0 CiliumNode (not complete), 4 Service"
case $out in *"Service (not complete)"*) fail "what was complete is called not complete: $out" ;; esac
has "vxlan on mesh0, mtu 1450, tcx on eth0, generation 41 of 42, behind for 250ms"
has "ingress tcp/22 from 0.0.0.0/0 (config), 3 hits"
has "egress icmp to 192.0.2.1/32 (automatic), 0 hits"
has "warning: the API server does not answer [api.unreachable] for 1m1s"
has "-> check the route"
has "7 not selecting this host, 2 in shadow mode"
has "rolled-back, to be confirmed within 2m, confirmed: 3 policies, waiting: 1"
has "              ingress 5: no policy allows it"
has "let pass by audit mode: ingress 4, egress 0; by shadow policies, if enforced: ingress 6, egress 1"
# JSON is the daemon's data, whatever the command prints for people
for verb in endpoint.list identity.list node.list policy.list service.list map.list dns.status dns.learned; do
	noun=${verb%.*}
	run 0 $noun ${verb#*.} -o json --socket "$sock"
	[ "$out" = "$("$fake" --print "$here/data/fixture.json" "$verb")" ] || fail "$verb -o json: $out"
	run 0 $noun ${verb#*.} --socket "$sock"
	[ -n "$out" ] || fail "$verb prints nothing"
done
run 0 --socket "$sock" endpoint list
has "POLICY (INGRESS)"
has "legacy/ahch-to"
has "k8s:jedi=luke"
run 0 --socket "$sock" --no-headings identity get 16801
[ "$(echo $out)" = "16801 k8s:jedi=luke 1" ] || fail "identity get: $out"
run 0 --socket "$sock" service list
has "10.96.0.1:443/TCP"
has "[fd00::1]:443/TCP"
has "1 => 172.19.0.2:6443/TCP (active)"
has "has no selector"
run 0 --socket "$sock" policy list
has "not enforced here"
has "l7?[31m"
run 1 --socket "$sock" policy why --peer-ip 10.244.1.9 --direction ingress --protocol tcp --port 80
has "deny: denied by CiliumNetworkPolicy legacy/luke, spec.ingressDeny[0]"
has "peer: identity 16802, k8s:sith=vader"
has "another peer  CiliumNetworkPolicy  legacy     friends  spec.ingress[1]"
has "another port  NetworkPolicy        legacy     ports    spec.ingress[0]"
has "audit mode"
run 1 --socket "$sock" policy why --identity 16802 --direction egress --protocol udp --port 53 -o json
[ "$out" = "$("$fake" --print "$here/data/fixture.json" policy.why)" ] || fail "policy.why -o json: $out"
run 0 --socket "$sock" policy shadow
has "CiliumNetworkPolicy legacy/strict (by annotation), ingress"
has "would have dropped 3 of 40 new flows in 2h0m"
has "empire/vader"
has "8443"
has "type 8"
has "vader?[31m"
has "and 4 peers and ports more"
has "CiliumClusterwideNetworkPolicy calm (by choice of this host), ingress and egress"
has "5 flows more found no room"
run 0 --socket "$sock" policy shadow -o json
[ "$out" = "$("$fake" --print "$here/data/fixture.json" policy.shadow)" ] || fail "policy.shadow -o json: $out"
run 0 --socket "$sock" -o json policy shadow legacy/strict on
[ "$(echo $out)" = '{ "name": "strict", "namespace": "legacy", "mode": "on" }' ] || fail "policy shadow on: $out"
run 0 --socket "$sock" -o json policy shadow calm off
[ "$(echo $out)" = '{ "name": "calm", "namespace": "", "mode": "off" }' ] || fail "policy shadow off: $out"
run 2 --socket "$sock" policy shadow legacy/strict maybe
run 2 --socket "$sock" policy shadow /strict
run 2 --socket "$sock" policy shadow a/b/c on
# a narrow terminal: no line is longer, words are whole; a pipe gets lines as they are
if command -v script >/dev/null; then
	for asked in "status" "config show $srcdir/packaging/config/mesh-external-agent.conf"; do
		script -qec "stty cols 100; $ctl --socket $sock $asked" /dev/null </dev/null 2>/dev/null | tr -d '\r' >"$tmp/screen"
		grep -q . "$tmp/screen" || fail "$asked prints nothing at a terminal"
		awk 'length > 100 { bad = 1 } END { exit bad }' "$tmp/screen" || fail "$asked has longer lines than the terminal: $(cat "$tmp/screen")"
	done
	run 0 --socket "$sock" policy list
	has "spec.ingress[0].toPorts[0].rules.http: not enforced here"
fi
run 0 --socket "$sock" policy guard
has "guard: pending, to be confirmed within 2m, 1m1s left, confirmed: 3 policies"
run 0 --socket "$sock" -o json policy guard --confirm 90s
[ "$(echo $out)" = '{ "confirm": "90s" }' ] || fail "policy guard --confirm: $out"
run 0 --socket "$sock" -o json policy guard --off
[ "$(echo $out)" = '{ "off": true }' ] || fail "policy guard --off: $out"
run 2 --socket "$sock" policy guard --confirm 1s
says "from 5s to 24h"
run 2 --socket "$sock" policy guard --confirm 90s --off
run 1 --socket "$sock" policy confirm
says "nothing to confirm"
run 0 --socket "$sock" map list
has "NUM ENTRIES"
run 5 --socket "$sock" ipcache list 10.0.0.0/8
says "expected shape"
run 1 --socket "$sock" ipcache get 203.0.113.9
says "not in the cache"
run 0 --socket "$sock" dns status
has "cluster.local"
has "192.0.2.53:53"
has "names the agent"
has "no answer in time, 3s ago"
has "800us"
run 3 --socket "$sock" dns query x
says "127.0.0.1:1 does not answer"
run 0 --socket "$sock" --no-headings dns learned
[ "$(echo $out)" = "api.example.com 192.0.2.7 30s live *.example.com old.example.com 2001:db8::7 0s zombie -" ] || fail "dns learned: $out"
run 0 --socket "$sock" --no-headings migrate status
[ "$(echo $out)" = "council pods turns done 2/2 0.0% 100.0% 12, 0 failed, 0.3 ms 24, 2 failed, 12.3 ms 7 - council pods turns stepping 2/5 20.0% 80.0% 12, 0 failed, 0.3 ms 24, 2 failed, 12.3 ms 7 4 of 5 checks were made" ] ||
	fail "migrate status: $out"
run 0 --socket "$sock" migrate status council -o json
[ "$out" = "$("$fake" --print "$here/data/fixture.json" migrate.status)" ] || fail "migrate.status -o json: $out"
run 1 --socket "$sock" migrate council --to pods --dry-run
has "legacy/council to pods by turns: this host has 25.0% of new connections now, beside 3 ready pods"
has "checks: http of port 80 path /?up"
has "20.0%   80.0%  ready 12.0s of each 15.0s  30s"
has "5.5%   94.5%  weight 17"
has "0.0%  100.0%  stands by"
has "- beside 3 ready pods this host can have at most 25.0%"
says "it cannot begin: no pod is ready"
run 1 --socket "$sock" migrate council --to pods
has "rolled-back, step 2 of 5: this host 25.0%, pods 75.0%"
says "migrate: rolled-back: the pods: 2 of 3 checks failed"
run 0 --socket "$sock" migrate council --to pods --no-wait -o json
[ "$out" = "$("$fake" --print "$here/data/fixture.json" migrate.start)" ] || fail "migrate --no-wait -o json: $out"
for action in pause resume abort; do
	run 0 --socket "$sock" migrate $action council -o json
	[ "$(echo $out)" = "{ \"service\": \"council\", \"action\": \"$action\" }" ] || fail "migrate $action: $out"
done
run 0 --socket "$sock" leave --yes
has "programs detached"

run 0 --socket "$sock" monitor --count 4
has "drop ingress (Policy denied) deny 10.244.1.9:40000 -> 172.19.100.2:80 tcp S 60B, peer 16802 empire/vader [k8s:sith=vader], rule CiliumNetworkPolicy legacy/luke spec.ingressDeny[0], mesh0, held back before: 2"
has "verdict egress (Policy allowed) allow [fd00::2]:50000 -> [fd00::9]:443 tcp 80B, peer 2 [reserved:world]"
has "172.19.100.2 icmp type 8 84B, peer 16802 [k8s:sith=vader], not allowed by calm, legacy/a, legacy/b and 1 more"
has "drop egress (?]0;evil?)"
run 0 --socket "$sock" monitor -n 1 --drop --peer 172.19.100.2 --identity 16802 --direction ingress --json
[ "$(printf '%s\n' "$out" | wc -l)" = 1 ] || fail "monitor --json: $out"
has '"tcp_flags":"S"'
run 0 --socket "$sock" monitor -n 1 --peer fd00:0::9
has "fd00::9"

run 0 --socket "$sock" -c "$tmp/good.conf" bugreport --file "$tmp/report.tar"
[ "$(stat -c %a "$tmp/report.tar")" = 600 ] || fail "bugreport is not private"
names=$(tar tf "$tmp/report.tar") || fail "bugreport is no archive"
for name in status.json endpoint.list.json policy.list.json versions.txt mesh-external-agent.conf; do
	case $names in *"mesh-bugreport/$name"*) ;; *) fail "no $name in bugreport: $names" ;; esac
done
tar xOf "$tmp/report.tar" mesh-bugreport/status.json | grep -q '"identity": 16801' || fail "bugreport: status"
for name in dns.learned forward.list policy.guard policy.shadow; do
	case $names in *"mesh-bugreport/$name.json"*) ;; *) tar xOf "$tmp/report.tar" mesh-bugreport/missing.txt | grep -q "^$name:" || fail "no $name in bugreport" ;; esac
done
run 5 --socket "$sock" bugreport --file "$tmp/report.tar"
says "report.tar"
run 0 --socket "$sock" -o json bugreport --file "$tmp/report2.tar"
has "\"file\": \"$tmp/report2.tar\""
has '"redacted": '
error_json 5 --socket "$sock" -o json bugreport --file "$tmp/report.tar"
# a write that fails leaves no half of an archive
out=$( (
	trap '' XFSZ
	ulimit -f 8
	"$ctl" --socket "$sock" bugreport --file "$tmp/half.tar"
) 2>&1)
case $out in *"$tmp/half.tar: File too large"*) ;; *) fail "bugreport that cannot be written: $out" ;; esac
[ ! -e "$tmp/half.tar" ] || fail "half an archive stays"

"$ctl" --socket "$sock" endpoint list >/dev/full 2>"$tmp/err" && fail "a full device is no error"

# a daemon that hangs
kill -STOP "$pid"
run 3 --socket "$sock" --timeout 1 status
says "no answer in 1 s"
kill -CONT "$pid"

# a daemon that ends while somebody watches
# What the daemon accepted is a socket of its path in state 03, connected; the one that listens is in 01.
connections() { awk -v path="$sock" '$NF == path && $6 == "03"' /proc/net/unix; }
n=0
# the one that was given up above is gone first
until [ -z "$(connections)" ] || [ $n -ge 200 ]; do
	n=$((n + 1))
	sleep 0.05
done
[ $n -lt 200 ] || fail "a connection that was given up stays"
"$ctl" --socket "$sock" monitor --peer 192.0.2.1 >/dev/null 2>"$tmp/err" &
watcher=$!
n=0
# connected: the other end of its socket is the daemon's
until [ -n "$(connections)" ] || [ $n -ge 200 ]; do
	n=$((n + 1))
	sleep 0.05
done
[ $n -lt 200 ] || fail "monitor does not connect"
kill "$pid"
wait "$watcher"
got=$?
pid=
err=$(cat "$tmp/err")
[ "$got" = 3 ] || fail "monitor when the daemon ends: exit $got: $err"
says "closed the connection"
[ ! -e "$sock" ] || fail "the socket stays behind"

# a host that has not joined
cat >"$tmp/fixture.json" <<'JSON'
{"status": {"version": "0.1.0", "uptime_ms": 5, "joined": false, "state": "not-joined", "labels": [], "conditions": []},
"policy.list": {"$errno": 107, "text": "x"}, "endpoint.list": {"$errno": 1, "text": "no"}, "node.list": {"$errno": 5, "text": "disk"},
"policy.why": {"$args": true}, "migrate.plan": {"$args": true}, "map.list": {"$errno": 16, "text": "soon"}, "drain": {"slices_left": 2}, "ipcache.list": [{"prefix": "fd00::/64"}, {"prefix": "10.10.0.1/32"}, {"prefix": "10.9.0.0/16"}, {"prefix": "10.9.0.0/8"}], "identity.list": {"$errno": 22, "text": "what"}}
JSON
"$fake" "$sock" "$tmp/fixture.json" &
pid=$!
n=0
while [ ! -S "$sock" ] && [ $n -lt 100 ]; do
	n=$((n + 1))
	sleep 0.05
done
run 1 --socket "$sock" status
has "not-joined, version 0.1.0, up 5ms"
has "run the mesh-join line"
run 1 --socket "$sock" policy list
says "has not joined a cluster"
run 4 --socket "$sock" endpoint list
says "endpoint.list: refused: no"
run 5 --socket "$sock" node list
says "node.list: disk"
run 5 --socket "$sock" map list
says "try again"
run 5 --socket "$sock" identity list
says "what"
# the exit code does not depend on the format
for format in table json; do
	run 5 --socket "$sock" -o $format drain
	says "2 EndpointSlices"
done
[ "$(echo $out)" = '{ "slices_left": 2 }' ] || fail "drain -o json: $out"
# addresses come in order
run 0 --socket "$sock" --no-headings ipcache list
[ "$(echo "$out" | awk '{ print $1 }' | paste -sd' ')" = "10.9.0.0/8 10.9.0.0/16 10.10.0.1/32 fd00::/64" ] || fail "ipcache list: $out"
# what is asked of the daemon
run 1 --socket "$sock" policy why -o json --peer-ip 192.0.2.1 --direction egress --protocol icmp --icmp-type 8
for part in '"address": "192.0.2.1"' '"direction": "egress"' '"protocol": "icmp"' '"icmp_type": "8"'; do
	has "$part"
done
run 1 --socket "$sock" policy why -o json --identity 7 --direction egress --protocol tcp --port 6443
has '"identity": 7'
has '"port": "6443"'
run 0 --socket "$sock" -o json migrate council --to host --step 2.5% --interval 5m --by weights --max-errors 1 --max-latency-factor 10 --dry-run
for part in '"service": "council"' '"to": "host"' '"step_permille": 25' '"interval_s": 300' '"by": "weights"' '"max_errors_permille": 10' \
	'"max_latency_factor": 10'; do
	has "$part"
done
exit $bad
