#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mesh-join and the admin's commands against the in-tree API server: what is refused, why, and that nothing was
# spent. Needs no root: what only root can do is expected to be refused to others.
set -u
tmp=$(mktemp -d) || exit 99
chmod 755 "$tmp"
server=
cleanup() {
	[ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null
	rm -rf "$tmp"
}
trap cleanup EXIT
bad=0
fail() {
	echo "FAIL: $*"
	bad=1
}
# run CODE COMMAND...: output and messages in $out
run() {
	local want=$1 got
	shift
	out=$("$@" 2>&1 </dev/null)
	got=$?
	[ "$got" = "$want" ] || fail "$*: exit $got, not $want: $out"
}
has() {
	case $out in *"$1"*) ;; *) fail "no \"$1\" in: $out" ;; esac
}
# an ordinary user; in a test that runs as root, nobody
user() {
	if [ "$(id -u)" = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; else "$@"; fi
}
cp "$builddir/mesh-join" "$tmp/mesh-join" || exit 99 # where nobody can read it
meshctl=$builddir/meshctl join=$tmp/mesh-join

start() { # arguments of the server
	"$builddir/tests/lib/mesh-test-apiserver" --state "$tmp/api" --manifests "$tmp/manifests" --print-ready "$@" >"$tmp/ready" 2>&1 &
	server=$!
	for _ in $(seq 200); do
		grep -q '^ready' "$tmp/ready" && return
		sleep 0.05
	done
	cat "$tmp/ready"
	exit 99
}
mkdir "$tmp/manifests"
cat >"$tmp/manifests/cluster.yaml" <<'Y'
{apiVersion: v1, kind: Namespace, metadata: {name: legacy}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: default}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: cilium-config, namespace: kube-system}, data: {
 identity-allocation-mode: crd, cluster-name: default, cluster-pool-ipv4-cidr: 10.244.0.0/16, enable-ipv4: "true"}}
Y
start
export KUBECONFIG=$tmp/api/admin.conf
# a server without Cilium's resources: what decides is named, and the exit code tells the worst
run 2 "$meshctl" cluster check
has "refused"
has "ciliumnodes.cilium.io"
has "Kubernetes version"
run 2 "$meshctl" cluster check -o json
has '"fit": "refused"'
has '"key": "ciliumidentities.cilium.io"'
run 2 "$meshctl" cluster check --cilium-namespace legacy
has "there is no such ConfigMap"
run 0 "$meshctl" cluster setup
add() {
	out=$("$meshctl" host add "$@" 2>"$tmp/err") || fail "host add $*: $(cat "$tmp/err")"
	token=$(sed -n 's/^mesh-join --token //p' <<<"$out")
}
add ahch-to -n legacy -l jedi=luke -a 192.0.2.7
grep -qx 'meshctl: run it as root on ahch-to; the token works once, for 1[45]m[0-9s]*' "$tmp/err" || fail "what to do next: $(cat "$tmp/err")"
run 0 "$meshctl" host remove ahch-to --dry-run -o json
[ "$(tr -d ' \n' <<<"$out")" = '{"removable":"ahch-to","dry_run":true}' ] || fail "a dry run says: $out"
is_alive() { # the Secret is there: nothing was spent
	curl -sf --cacert "$tmp/api/ca.crt" -H "Authorization: Bearer $(cat "$tmp/api/admin.token")" -o /dev/null \
		"$(sed -n 's/^ready //p' "$tmp/ready")/api/v1/namespaces/mesh-hosts/secrets/ahch-to-join" || fail "$1: the token was spent"
}

# tokens that are none
head -c 100000 /dev/zero | tr '\0' x >"$tmp/big"
run 2 "$join" --dry-run --token-file "$tmp/big"
has "$tmp/big is longer than"
run 2 "$join" --dry-run --token-file "$tmp/none"
has "$tmp/none: No such file"

run 6 "$join" --dry-run # nothing on the standard input
has "the join token is empty"

# the credential of a unit, which is for who gives no token
credentials=$tmp/credentials
mkdir "$credentials"
printf '%s\n' "$token" >"$credentials/mesh-join.token"
run 1 env CREDENTIALS_DIRECTORY="$credentials" "$join" --dry-run --state-dir "$tmp/none"
has "accepts the token"
run 2 env CREDENTIALS_DIRECTORY="$credentials" "$join" --dry-run --token-file "$tmp/none"
has "$tmp/none: No such file"
echo hello >"$credentials/mesh-join.token"
run 6 env CREDENTIALS_DIRECTORY="$credentials" "$join" --dry-run
has "must begin with mesh1."
run 1 env CREDENTIALS_DIRECTORY="$credentials" "$join" --dry-run --state-dir "$tmp/none" --token "$token"
has "accepts the token"
ln -sf "$tmp/big" "$credentials/mesh-join.token"
run 2 env CREDENTIALS_DIRECTORY="$credentials" "$join" --dry-run
has "$credentials/mesh-join.token is longer than"
rm "$credentials/mesh-join.token" # a unit with others: as without
run 6 env CREDENTIALS_DIRECTORY="$credentials" "$join" --dry-run
has "the join token is empty"
is_alive "credentials"

# with -o json there is one object, whatever the outcome
is_json() { # CODE TEXT
	case $out in "{"*'"exit":'*"$1"*"$2"*"}") ;; *) fail "no object with exit $1 and \"$2\": $out" ;; esac
	[ "$(wc -l <<<"$out")" = 1 ] || fail "more than one line: $out"
}
run 2 "$join" -o json --dry-run --token-file "$tmp/none"
is_json 2 "No such file"
run 2 "$join" -o json --dry-run --token-file "$tmp/"$'\xff'
is_json 2 '/?: No such file'
run 6 "$join" --token "mesh1.${token:20:200}" -o json
is_json 6 "the join token is damaged"
run 6 "$join" -o json --token hello
is_json 6 "must begin with mesh1."
run 2 "$join" -o json --config "$tmp/none.conf" --token "$token"
is_json 2 "none.conf"
run 8 "$join" -o json --dry-run --token "$token" --labels jedi=rey
is_json 8 '"host":'
run 12 "$join" -o json --no-start --state-dir "$tmp/big/state" --token "$token"
is_json 12 "$tmp/big/state"
is_alive "JSON"

# at a terminal: a line longer than terminals take in their line mode, which is not shown
if command -v script >/dev/null; then
	at_terminal() { # KEYS: what is typed when it asks
		mkfifo "$tmp/keys"
		script -qec "$join --dry-run --state-dir $tmp/none" /dev/null <"$tmp/keys" >"$tmp/screen" 2>&1 &
		local pid=$!
		exec 9>"$tmp/keys"
		for _ in $(seq 200); do
			grep -q Paste "$tmp/screen" && break
			sleep 0.05
		done
		printf '%s' "$1" >&9
		wait $pid
		got=$?
		exec 9>&-
		rm "$tmp/keys"
		out=$(cat "$tmp/screen")
	}
	at_terminal "$(printf '%5000s' "")$token"$'\n'
	[ $got = 1 ] || fail "a token at a terminal: exit $got: $out"
	has "accepts the token"
	case $out in *"$token"*) fail "the token is shown: $out" ;; esac
	at_terminal $'\003'
	[ $got = 2 ] || fail "Ctrl-C at a terminal: exit $got: $out"
	has "interrupted"
fi

# users
run 12 user "$join" --state-dir /var/lib/mesh-none --token "$token"
has "sudo mesh-join"
run 12 user "$join" --state-dir "$tmp/../mesh-none" --token "$token" # a place to write, but not to start the service
has "give --no-start"
mkdir -m 700 "$tmp/root"
echo '{}' >"$tmp/root/joined.json"
chmod 0 "$tmp/root/joined.json"
run 1 user "$join" --dry-run --state-dir "$tmp/root" --token "$token"
has "accepts the token"
has "BPF ring buffer      not checked: only root may (sudo mesh-join --dry-run)"
case $out in *"this kernel has no"*) fail "what a user may not ask counts as missing: $out" ;; esac
[ "$(id -u)" != 0 ] || has "sudo mesh-join --dry-run"
is_alive "users"

# what the daemon would use
cat >"$tmp/agent.conf" <<C
bpf-root = "$tmp/nowhere/bpf";
cgroup-root = "$tmp";
C
run 1 "$join" --no-start --config "$tmp/agent.conf" --state-dir "$tmp/state" --token "$token"
has "$tmp/nowhere/bpf, the bpf-root of the configuration, is no bpffs"
has "$tmp, the cgroup-root of the configuration, is no cgroup2"
has "this machine has" # every obstacle is named at once
has "nothing was changed"
run 2 "$join" --no-start --config "$tmp/none.conf" --state-dir "$tmp/state" --token "$token"
[ ! -e "$tmp/state" ] || fail "state was written"
is_alive "paths"

# a Cilium that cannot have hosts
admin() { # method, path, type, body
	curl -sf --cacert "$tmp/api/ca.crt" -H "Authorization: Bearer $(cat "$tmp/api/admin.token")" -X "$1" -H "Content-Type: $3" -d "$4" \
		-o /dev/null "$(sed -n 's/^ready //p' "$tmp/ready")$2" || fail "$1 $2"
}
cilium() {
	admin PATCH /api/v1/namespaces/kube-system/configmaps/cilium-config application/merge-patch+json "{\"data\":{$1}}"
}
cilium '"identity-allocation-mode": "kvstore"'
run 1 "$join" --no-start --state-dir "$tmp/state" --token "$token"
has "identity-allocation-mode"
is_alive "Cilium"
cilium '"identity-allocation-mode": "crd"'

# nobody answers: why, and what to do next
kill $server
wait $server 2>/dev/null
run 3 "$join" --dry-run --token "$token"
has "cannot connect: Connection refused; the token names this server"
[ "$(tail -n 1 <<<"$out" | cut -c1-11)" = "mesh-join: " ] || fail "the message is not below the table: $out"
run 3 "$meshctl" host list
has "cannot connect: Connection refused; the kubeconfig names this server"
server=
exit $bad
