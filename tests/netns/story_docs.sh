#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The README and the manual pages, followed word by word against the in-tree API server: every command that is printed in
# them is run as it is printed, on a machine where `make install` put everything, and must turn out as told here. A
# command that is printed and not run here fails the test; so does one that is run here and printed nowhere.
# Prints PASS, FAIL or SKIP for each case. Needs root, curl, jq, iproute2, systemd's programs; ends with 77 without them.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/story_lib.sh"
. "$HERE/story_cases.sh"
for p in script systemd-sysusers systemd-tmpfiles systemd-analyze setpriv; do command -v $p >/dev/null || skip_all "everything: needs $p"; done
story_enter "$0" "$@"
SOURCE=$HERE/../..
README=$SOURCE/README.md

# What is printed: commands a line each, continued lines joined.
commands() {
	awk '/^```/ { fence = !fence; next } !fence && /^    [a-z.]/ { print substr($0, 5) }' "$README"
	sed -n 's/^\.Dl //p' "$SOURCE"/man/*.[0-9] |
		sed 's/^"\(.*\)"/\1/; s/" \\e$/ \\e/; s/\\e$/\\/; s/^[$#] //' | awk '/\\$/ { printf "%s", substr($0, 1, length($0) - 1); next } { print }' |
		tr -s ' '
	# of the manual pages' longer texts only the lines that a person types
	sed -n '/^\.Bd -literal/,/^\.Ed/s/^[$#] //p' "$SOURCE"/man/*.[0-9]
}
# block FILE KIND N: the Nth fenced text of that kind in the README; literal FILE N: that of a manual page
block() { awk -v kind="$1" -v n="$2" '/^```/ { if (on) exit; if (!open) { open = 1; on = $0 == "```" kind && ++i == n } else open = 0; next } on' "$README"; }
literal() { awk -v n="$2" '/^\.Bd -literal/ { on = ++i == n; next } /^\.Ed/ { on = 0 } on' "$SOURCE/man/$1"; }
# named in running text: `meshctl ...`, .Ql and .Ic
named() {
	# shellcheck disable=SC2016 # no commands of ours
	grep -o '`\(meshctl\|mesh-join\) [^`]*`' "$README" | tr -d '`'
	sed -n 's/^\.\(Ql\|Ic\) \(\(meshctl\|mesh-join\)[ a-z-]*\).*/\2/p; s/^\.Pq Ic \(mesh-join.*\)/\1/p' "$SOURCE"/man/*.[0-9]
}

# doc PLACE STATUS COMMAND: runs what is printed as COMMAND; output in $T/out. The token of the last `host add` stands
# in for the one that is printed.
doc() {
	local place=$1 want=$2 line=$3 r=0 run
	echo "$line" >>"$T/run"
	run=${line//mesh1.eyJ?(z).../$token}
	if ! grep -qxF -- "$line" "$T/printed"; then is "printed: $line" printed "in no document"; return; fi
	(cd "${DIR:-$T/cwd}" && in_place "$place" timeout 60 bash -c "$run") >"$T/out" 2>&1 </dev/null || r=$?
	is "$line" "$want" $r
	[ $r = "$want" ] || tail -n 5 "$T/out" | sed 's/^/    /'
}
prints() { is "which prints $1" yes "$(grep -qE -- "$1" "$T/out" && echo yes)"; }
# elsewhere COMMAND FILE TEXT: another test runs it, with TEXT in FILE
elsewhere() {
	echo "$1" >>"$T/run"
	if ! grep -qxF -- "$1" "$T/printed"; then is "printed: $1" printed "in no document"; return; fi
	is "$1: in $2" yes "$(grep -qE -- "$3" "$SOURCE/$2" && echo yes)"
}
shopt -s extglob

# A machine on which nothing of ours is installed: what is written to it is gone with the test.
machine() {
	local d
	mount -t tmpfs layer /mnt || die "cannot mount"
	for d in etc usr var root; do
		mkdir -p "/mnt/$d/upper" "/mnt/$d/work"
		mount -t overlay -o "lowerdir=/$d,upperdir=/mnt/$d/upper,workdir=/mnt/$d/work" overlay "/$d" || skip_all "everything: needs overlayfs"
	done
	env -u STORY_INSIDE BUILD="$BUILD" "$SOURCE/tests/demo/story" >/mnt/demo 2>&1
	demo=$?
	story_begin
	mkdir -p "$T/cwd" /run/systemd/system /usr/local/bin
	printf '#!/bin/sh\nexec "$@"\n' >/usr/local/bin/sudo
	printf '#!/bin/sh\n[ "$1 $2" = "create namespace" ] && exec curl -sS --fail-with-body --cacert %s -H "Authorization: Bearer $(cat %s)" -H "Content-Type: application/json" -d "{\\"apiVersion\\":\\"v1\\",\\"kind\\":\\"Namespace\\",\\"metadata\\":{\\"name\\":\\"$3\\"}}" https://%s:6443/api/v1/namespaces\n' \
		"$T/api/ca.crt" "$T/api/admin.token" $API >/usr/local/bin/kubectl
	# systemd's part, for this one unit: user, capabilities and directories as the unit says
	cat >/usr/local/bin/systemctl <<-C
		#!/bin/sh
		echo "\$*" >>"$T/log/systemctl"
		pid=\$(cat "$T/service" 2>/dev/null)
		caps=\$(sed -n 's/^AmbientCapabilities=//p' "$T/unit" | tr 'A-Z ' 'a-z,' | sed 's/cap_/+/g')
		case "\$1 \$2" in
			"daemon-reload "|"enable mesh-external-agent.service"|"enable mesh-join.service") ;;
			"reload mesh-external-agent") kill -HUP "\$pid" ;;
			"restart mesh-external-agent.service")
				[ -z "\$pid" ] || kill "\$pid"
				while [ -n "\$pid" ] && kill -0 "\$pid" 2>/dev/null; do sleep 0.1; done
				mkdir -p /run/mesh-external-agent && chown mesh-agent: /run/mesh-external-agent
				exec >>"$T/log/ahch-to-agent" 2>&1 <&-
				setpriv --reuid mesh-agent --regid mesh-agent --clear-groups --inh-caps "\$caps" --ambient-caps "\$caps" mesh-agentd &
				echo \$! >"$T/service"
				for i in \$(seq 100); do mesh=\$(meshctl status 2>&1); [ \$? != 3 ] && exit 0; sleep 0.1; done
				exit 1 ;;
			*) echo "systemctl: not for this: \$*" >&2; exit 1 ;;
		esac
	C
	chmod +x /usr/local/bin/*
	place_add ahch-to $AHCHTO
	place_add crait $CRAIT
	become ahch-to "$T/bin/tests/netns/story_peer" serve 80 "Greetings from the host ahch-to" >"$T/log/web" 2>&1 &
	commands >"$T/printed"
}

# What is not for this machine, or takes a build, is done by other tests.
installing() {
	local version
	version=$(sed -n 's/^AC_INIT(\[[^]]*\], \[\([^]]*\)\].*/\1/p' "$SOURCE/configure.ac")
	elsewhere "sudo tests/run" .ci/run '^tier tests tests/run'
	elsewhere "autoreconf -fi && ./configure && make deb" tests/local.mk '^check-vm: .* deb'
	elsewhere "sudo apt install ./deb/mesh-external-agent_${version}_amd64.deb" tests/vm/package.sh 'apt-get install'
	elsewhere "autoreconf -fi && ./configure && make rpm" tests/local.mk '^check-vm: .* rpm'
	elsewhere "sudo dnf install ./rpm/mesh-external-agent-$version-1.x86_64.rpm" tests/vm/t_rpm.sh 'r -i "\$RPM"'
	elsewhere "sudo meshctl migrate council --to pods --dry-run" tests/netns/story_migrate.sh 'migrate temple --to pods .*--dry-run'
	elsewhere "sudo meshctl migrate council --to pods --step 10% --interval 30s" tests/cluster/t_migrate.sh 'migrate|move .*--interval'
	elsewhere "sudo meshctl migrate status council" tests/netns/story_migrate.sh 'migrate status temple'
	elsewhere "autoreconf -fi" tests/netns/story_setup.sh 'autoreconf -fi'
	elsewhere "./configure --prefix=/usr --sysconfdir=/etc" packaging/debian/rules dh_auto_configure
	elsewhere "make" tests/netns/story_setup.sh 'make -C build'
	DIR=$BUILD doc api 0 "sudo make install"
	# of the prefix of this build, and nothing else of this machine
	sed -i 's/^sudo systemd-sysusers$/& mesh-external-agent.conf/; s/^sudo systemd-tmpfiles --create$/& mesh-external-agent.conf/' "$T/printed"
	doc ahch-to 0 "sudo systemd-sysusers mesh-external-agent.conf"
	doc ahch-to 0 "sudo systemd-tmpfiles --create mesh-external-agent.conf"
	is "the daemon has its directories" "mesh-agent 700 mesh-agent 700" \
		"$(stat -c '%U %a' /var/lib/mesh-external-agent /sys/fs/bpf/mesh-external-agent | paste -sd' ')"
	unit=$(find /usr -name mesh-external-agent.service | head -n 1)
	cp "$unit" "$T/unit"
	doc ahch-to 0 "sudo systemctl daemon-reload"
	conf=$(find /usr/local/etc /etc -name mesh-external-agent.conf -path '*/mesh-external-agent/*' | head -n 1)
	# the cgroup of this test, and not that of the whole machine
	printf 'cgroup-root = "%s";\ndatapath: { ct-max-entries = 16384; ipcache-max-entries = 4096; policy-max-entries = 4096; };\n' "$CG/ahch-to" >>"$conf"
	is "the demo" 0 $demo
	[ $demo = 0 ] || grep -v '^ *as told' /mnt/demo | tail -n 40
	elsewhere "sudo tests/demo/run" tests/demo/run '-s demo$'
}

# as the admin of the cluster
enrolling() {
	doc api 0 "meshctl cluster check"
	doc api 0 "meshctl cluster setup"
	doc api 0 "kubectl create namespace legacy"
	doc api 0 "meshctl host add ahch-to --namespace legacy --labels jedi=luke --address 172.19.100.2"
	prints '^mesh-join --token mesh1\.eyJ'
	doc api 0 "meshctl host add ahch-to -n legacy -l jedi=luke -a 172.19.100.2"
	token=$(sed -n 's/^mesh-join --token //p' "$T/out")
}

joining() {
	doc ahch-to 0 "mesh-join --token mesh1.eyJz... --labels jedi=luke"
	prints '^Joined cluster .* as legacy/ahch-to'
	is "which starts the service" 1 "$(grep -c '^restart mesh-external-agent.service' "$T/log/systemctl")"
	check "the host comes up" wait_for 20 eval 'in_place ahch-to meshctl status >/dev/null'
	doc ahch-to 0 "sudo mesh-join --token mesh1.eyJ..." # once more: it has joined
	check "the host comes up again" wait_for 20 eval 'in_place ahch-to meshctl status >/dev/null'
	doc ahch-to 0 "sudo meshctl status"
	prints '^Agent: *ok, version '
	doc ahch-to 0 "sudo meshctl policy list"
	doc ahch-to 0 "sudo meshctl service list"
	prints 'legacy.*temple'
	doc ahch-to 0 "sudo meshctl dns query kubernetes.default.svc.cluster.local"
	prints '10\.96\.0\.1'
	doc ahch-to 0 "meshctl ipcache get 10.244.1.17 -o json"
	is "which has the identity of leia" $LEIA_ID "$(jq .identity "$T/out")"
}

# The token as a credential that systemd unseals; tests/vm/t_first_boot.sh has a systemd that does it.
sealing() {
	local dropin=/etc/systemd/system/mesh-join.service.d/token.conf seal unit
	doc ahch-to 0 "systemctl enable mesh-join.service"
	doc ahch-to 0 "mkdir -p /etc/systemd/system/mesh-join.service.d"
	seal="systemd-creds encrypt -p --name=mesh-join.token /run/mesh.token - | sed 1i[Service] >$dropin"
	if ! command -v systemd-creds >/dev/null; then
		elsewhere "$seal" tests/vm/t_first_boot.sh 'systemd-creds encrypt'
		skipped=$((skipped + 1))
		echo "SKIP a sealed token: needs systemd 250"
		return
	fi
	[ -s /etc/machine-id ] || echo 0123456789abcdef0123456789abcdef >/etc/machine-id # a part of the key
	doc ahch-to 0 "$seal"
	is "nothing of the token can be read" 0 "$(grep -c mesh1 $dropin)"
	unit=$(find /usr -name mesh-join.service | head -n 1)
	cp "$unit" /etc/systemd/system
	check "systemd takes the unit with it" systemd-analyze verify --man=no /etc/systemd/system/mesh-join.service
	mkdir -m 700 /run/unsealed
	sed '1d; s/^SetCredentialEncrypted=[^ ]*//' $dropin | tr -d ' \\\n' | systemd-creds decrypt --name=mesh-join.token - /run/unsealed/mesh-join.token 2>"$T/out"
	exits "mesh-join takes the token from its unit" 0 in_place ahch-to env CREDENTIALS_DIRECTORY=/run/unsealed mesh-join
	is "which has joined" 1 "$(grep -c '^Joined cluster .* as legacy/ahch-to' "$T/out")"
	rm -r /run/unsealed
}

# what the overview tells an administrator to look at
looking() {
	doc ahch-to 0 "meshctl status"
	doc ahch-to 0 "meshctl dns status"
	doc ahch-to 0 "ip -details link show mesh0"
	prints 'vxlan|geneve'
	doc ahch-to 0 "ip route show proto 155"
	prints '10\.244\.1\.0/24'
	printf '%s\n' "$token" >/run/mesh.token
	doc ahch-to 0 "mesh-join --token-file /run/mesh.token -o json" # it has joined
	is "which is an object" "ahch-to 0" "$(jq -r '"\(.host) \(.exit)"' "$T/out")"
	sealing
	rm /run/mesh.token
	check "the host comes up once more" wait_for 20 eval 'in_place ahch-to meshctl status >/dev/null'
	printf '%s\n' "web1 172.19.100.41" "web2 172.19.100.42" >"$T/cwd/hosts"
	literal mesh-external-agent.7 1 | sed 's/\\e$/\\/' >"$T/cwd/loop"
	exits "the loop that enrols a list of hosts" 0 in_place api sh -c "cd $T/cwd && . ./loop"
	is "it leaves a token for each" "mesh1. mesh1." "$(jq -r '.token[0:6]' "$T/cwd/web1.json" "$T/cwd/web2.json" | paste -sd' ')"
	for h in web1 web2; do exits "$h is removed again" 0 in_place api meshctl host remove $h; done
}

policies() {
	block yaml 1 >"$T/policy.yaml"
	cp "$T/policy.yaml" "$T/cwd/policy.yaml"
	doc api 1 "meshctl policy verdict -f policy.yaml --subject jedi=luke,io.kubernetes.pod.namespace=legacy --peer app=shop,io.kubernetes.pod.namespace=legacy,io.cilium.k8s.policy.cluster=default --direction ingress --protocol tcp --port 443"
	prints 'deny'
	apply $CNP/only-friends <"$T/policy.yaml"
	check "the policy of the README comes into force" wait_for 15 eval "in_place ahch-to meshctl policy list | grep -q ' only-friends .*enforced'"
	passes "leia gets in" leia $AHCHTO 80
	stopped "vader does not" vader $AHCHTO 80
	doc ahch-to 0 "meshctl policy why --peer-ip 10.244.1.17 --direction ingress --protocol tcp --port 80"
	echo "sudo meshctl monitor --drop" >>"$T/run"
	(become ahch-to timeout 20 sudo meshctl monitor --drop --count 1) >"$T/monitor" 2>&1 &
	local monitor=$!
	wait_for 10 eval '! reaches vader $AHCHTO 80; [ -s "$T/monitor" ]'
	wait $monitor
	is "sudo meshctl monitor --drop" 1 "$(grep -c "drop.*ingress.*$VADER" "$T/monitor")"
	echo "meshctl monitor --drop" >>"$T/run"
}

standing_behind() {
	doc api 0 "meshctl host add ahch-to --namespace legacy --labels jedi=luke --address 172.19.100.2 --serve council"
	apply /api/v1/namespaces/legacy/services/council < <(block yaml 2 | sed '/^spec:/a\  clusterIP: 10.96.0.90')
	block "" 1 | grep -v '^ *{.*"http"' >"$T/probes" # nobody answers /health in here
	block "" 1 >>"$conf.all" && cat "$conf" >>"$conf.all"
	check "the probes of the README are valid" in_place ahch-to meshctl config check "$conf.all"
	# shellcheck disable=SC2016
	grep -o '`forwards = [^`]*`' "$README" | tr -d '`' >"$T/forwards"
	cat "$conf" "$T/forwards" >"$conf.all"
	is "one line tells of forwards" 1 "$(wc -l <"$T/forwards")"
	check "it is valid, too" in_place ahch-to meshctl config check "$conf.all"
	in_place ahch-to systemctl restart mesh-external-agent.service # which looks for new rights
	check "the host stands behind the service" wait_for 20 eval \
		"api GET /apis/discovery.k8s.io/v1/namespaces/legacy/endpointslices/council-mesh-ahch-to | jq -e '.endpoints[0].addresses == [\"$AHCHTO\"]'"
}

# the texts of the manual pages
configuration() {
	local n
	n=$(cat "$SOURCE"/man/*.[0-9] | grep -c '^\.Bd -literal')
	is "all longer texts of the manual pages are looked at here" 6 "$n" # two are of commands
	elsewhere "firewall-cmd --permanent --add-port=8472/udp" tests/vm/t_life.sh '^	.*guest firewall-cmd --permanent --add-port=8472/udp'
	elsewhere "firewall-cmd --reload" tests/vm/t_life.sh '^	.*guest firewall-cmd --reload'
	literal mesh-external-agent.conf.5 2 >"$T/two.conf"
	literal mesh-external-agent.conf.5 3 >>"$T/two.conf"
	check "the examples of the configuration are valid, together" in_place ahch-to meshctl config check "$T/two.conf"
	mkdir -p /etc/systemd/system/nginx.service.d
	printf '[Service]\nExecStart=/bin/true\n' >/etc/systemd/system/nginx.service
	literal mesh-external-agent.conf.5 1 | grep -v '^#' >/etc/systemd/system/nginx.service.d/override.conf
	echo "systemctl edit nginx.service" >>"$T/run"
	check "systemctl edit nginx.service: systemd takes it" systemd-analyze verify --man=no /etc/systemd/system/nginx.service
	check "systemctl reload mesh-external-agent" systemctl reload mesh-external-agent
	check "the host is well" wait_for 20 eval 'in_place ahch-to meshctl status >/dev/null'
	while read -r program words; do
		case $program in
			meshctl) # the words before an option or something that stands for a name; `X` alone has no help of its own
				words=$(sed 's/ -.*//; s/ [A-Z].*//; s/ ahch-to//; s/^-.*//; s/ *$//' <<<"$words")
				[ -z "$words" ] || exits "meshctl $words: there is such a command" 0 meshctl help $words ;;
			mesh-join)
				for w in $words; do
					[[ $w != --* ]] || is "mesh-join $w: there is such an option" yes "$(mesh-join --help | grep -q -- "$w" && echo yes)"
				done ;;
		esac
	done < <(named | sort -u)
}

leaving() {
	echo "sudo meshctl leave" >>"$T/run"
	(cd "${DIR:-$T/cwd}" && in_place ahch-to script -qec "sudo meshctl leave" /dev/null) >"$T/out" 2>&1 <<<yes
	is "sudo meshctl leave" 0 $?
	passes "nothing is enforced" node1 $AHCHTO 80
	# as one does with a copy
	in_place api meshctl host add ahch-to >"$T/out" 2>&1
	token=$(sed -n 's/^mesh-join --token //p' "$T/out")
	doc ahch-to 0 "mesh-join --token mesh1.eyJz..."
	check "the host comes up" wait_for 20 eval 'in_place ahch-to meshctl status >/dev/null'
	doc ahch-to 0 "meshctl leave --force --yes"
	exits "meshctl host remove ahch-to" 0 in_place api meshctl host remove ahch-to
	is "it is gone" 0 "$(in_place api meshctl host list -o json | jq length)"
}

machine
export PATH=/usr/local/bin:/usr/local/sbin:$PATH
place_add api $API
# what is in the namespace that the reader makes comes after it
manifests | awk -v RS='---\n' -v in_it="$T/later" -v rest="$T/rest" '
	/kind: (Service|EndpointSlice|CiliumEndpoint),/ { printf "%s", $0 >(in_it "." ++n); next }
	!/kind: Namespace,/ { printf "---\n%s", $0 >rest }'
{
	cat "$T/rest"
	for crd in ciliumidentities ciliumnodes ciliumendpoints ciliumnetworkpolicies ciliumclusterwidenetworkpolicies ciliumcidrgroups; do
		cat <<-Y
			---
			{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: $crd.cilium.io,
			 labels: {io.cilium.k8s.crd.schema.version: 1.32.0}}, spec: {group: cilium.io, versions: [{name: v2, served: true}]}}
		Y
	done
	cat <<-Y
		---
		{apiVersion: v1, kind: Service, metadata: {name: kubernetes, namespace: default}, spec: {
		 type: ClusterIP, clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1], ipFamilies: [IPv4], ports: [{name: https, port: 443, targetPort: 6443}]}}
	Y
} >"$T/manifests/cluster.yaml"
become api "$T/bin/tests/lib/mesh-test-apiserver" --listen $API:6443 --state "$T/api" --manifests "$T/manifests" --print-ready >"$T/log/api" 2>&1 &
wait_for 10 grep -q ready "$T/log/api" || die "the API server does not start: $(cat "$T/log/api")"
export KUBECONFIG=$T/api/admin.conf
for part in installing enrolling; do $part; done
for f in "$T"/later.*; do
	name=$(sed -n 's/.*metadata: *{name: \([a-z0-9-]*\).*/\1/p' "$f" | head -n 1)
	case $(grep -o 'kind: [A-Za-z]*' "$f" | head -n 1) in
		"kind: Service") apply "/api/v1/namespaces/legacy/services/$name" <"$f" ;;
		"kind: EndpointSlice") apply "/apis/discovery.k8s.io/v1/namespaces/legacy/endpointslices/$name" <"$f" ;;
		*) apply "/apis/cilium.io/v2/namespaces/legacy/ciliumendpoints/$name" <"$f" ;;
	esac
done
pods_start
for part in joining looking policies standing_behind configuration leaving; do $part; done
is "every command that is printed was run" '' "$(sort -u "$T/printed" | grep -vxFf "$T/run")"
story_finish
