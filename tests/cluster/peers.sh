#!/bin/bash
# Builds the real peers from Go modules: peers.sh build|check [coredns]. Needs Go 1.26; 20 minutes on two cores, seconds
# when there.
#   K8S=1.32.13 CILIUM=1.19.7   other versions, into a folder of their own; where one of the two is the usual one, it
#                               is that of the usual folder, if that is built
# peers.sh crds VERSION: prints a folder with the resource definitions of that Cilium, which needs no build.
# peers.sh oracle: the policy code of Cilium as a program, from the sources in oracle/.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd) # functions go elsewhere
. "$here/lib.sh"
COREDNS=${COREDNS:-1.15.0}
PROGRAMS="hyperkube cilium-agent cilium-operator cilium-dbg cilium-cni clustermesh-apiserver"

module_dir() { go mod download -json "$1" | jq -r .Dir; }

# replacements FOLDER: those of its go.mod, which hold for the main module only. A fork that module proxies do not have is left
# out: what it was made from is near enough for a build.
replacements() {
	go mod edit -json "$1/go.mod" | jq -r '.Replace[]? | "\(.Old.Path) \(.Old.Version // "-") \(.New.Path) \(.New.Version // "-")"' |
		while read -r old at new version; do
			[ "$version" = - ] || go mod download "$new@$version" 2>/dev/null || continue
			printf 'replace %s %s => %s %s\n' "$old" "${at#-}" "$new" "${version#-}"
		done
}

# staged NAME: the line of go.mod for one of them. No program needs the samples. Module proxies do not have each patch
# of the others: the one before is that of the same minor.
staged() {
	local version=v0.${K8S#1.}
	case $1 in
	sample-*)
		mkdir -p "$1"
		printf 'module k8s.io/%s\n\ngo 1.23\n' "$1" >"$1/go.mod"
		printf 'replace k8s.io/%s => ./%s\n' "$1" "$1"
		return
		;;
	esac
	printf 'replace k8s.io/%s => k8s.io/%s %s\n' "$1" "$1" "$(served "k8s.io/$1" "$version")"
}

# served MODULE VERSION: that, or the one before of the same minor, where module proxies do not have it
served() {
	local before=$2
	if ! go mod download "$1@$2" 2>/dev/null; then
		before=$({ go list -m -versions "$1" | tr ' ' '\n' | grep -v -- - && echo "$2"; } | grep -F "${2%.*}." | sort -V |
			sed "/^$2\$/q" | tail -n 2 | head -n 1)
	fi
	echo "${before:?no version of $1}"
}

# One program for all of Kubernetes and etcd: they share most of their code.
build_kubernetes() {
	local src p version=k8s.io/component-base/version minor=${K8S#*.}
	mkdir -p "$PEERS/k8s"
	cd "$PEERS/k8s"
	cat >main.go <<-'G'
	package main

	import (
		"os"
		"path/filepath"

		"go.etcd.io/etcd/server/v3/etcdmain"
		"k8s.io/component-base/cli"
		_ "k8s.io/component-base/logs/json/register"
		_ "k8s.io/component-base/metrics/prometheus/clientgo"
		_ "k8s.io/component-base/metrics/prometheus/version"
		kubectl "k8s.io/kubectl/pkg/cmd"
		apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
		manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	)

	func main() {
		switch filepath.Base(os.Args[0]) {
		case "etcd":
			etcdmain.Main(os.Args)
		case "kube-apiserver":
			os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
		case "kube-controller-manager":
			os.Exit(cli.Run(manager.NewControllerManagerCommand()))
		case "kubectl":
			os.Exit(cli.Run(kubectl.NewDefaultKubectlCommand()))
		}
	}
	G
	[ -e go.mod ] || printf 'module peers\n\ngo 1.26.0\n' >go.mod
	src=$(module_dir "k8s.io/kubernetes@v$K8S")
	# the staging folders of its tree are published as modules of their own
	{
		printf 'module peers\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes v%s\n' "$K8S"
		grep '^godebug' "$src/go.mod"
		for p in $(sed -n 's|^\t*\(replace \)\{0,1\}k8s.io/\([^ ]*\) => \./staging/.*|\2|p' "$src/go.mod"); do staged "$p"; done
	} >go.mod.new
	mv go.mod.new go.mod
	install -m 644 "$src/go.sum" go.sum
	go mod tidy
	go build -trimpath -o "$PEERS/bin/hyperkube" \
		-ldflags "-s -w -X $version.gitVersion=v$K8S -X $version.gitMajor=${K8S%%.*} -X $version.gitMinor=${minor%%.*}" .
}

build_cilium() {
	local src p version now
	mkdir -p "$PEERS/cilium/mcs"
	cd "$PEERS/cilium"
	[ -e go.mod ] || printf 'module peers\n\ngo 1.26.0\n' >go.mod
	src=$(module_dir "github.com/cilium/cilium@v$CILIUM")
	# what Cilium takes from a module that module proxies do not have: a stand-in. The controller is for Services of many clusters
	printf 'module sigs.k8s.io/mcs-api/controllers\n\ngo 1.24\n' >mcs/go.mod
	cat >mcs/mcs.go <<-'G'
	package controllers

	const DerivedServiceAnnotation = "multicluster.kubernetes.io/derived-service"

	type ServiceReconciler struct{ Client, Log any }

	func (*ServiceReconciler) SetupWithManager(any) error { return nil }
	G
	{
		printf '//go:build tools\n\npackage tools\n\nimport (\n'
		for p in daemon operator cilium-dbg clustermesh-apiserver plugins/cilium-cni; do
			printf '\t_ "github.com/cilium/cilium/%s"\n' $p
		done
		printf ')\n'
	} >tools.go
	{
		printf 'module peers\n\ngo 1.26.0\n\nrequire github.com/cilium/cilium v%s\n\n' "$CILIUM"
		replacements "$src"
		go mod edit -json "$src/go.mod" | jq -r '.Require[] | select(.Path | startswith("k8s.io/")) | "\(.Path) \(.Version)"' |
			while read -r p version; do
				now=$(served "$p" "$version")
				[ "$now" = "$version" ] || printf 'replace %s => %s %s\n' "$p" "$p" "$now"
			done
		printf 'replace sigs.k8s.io/mcs-api/controllers => ./mcs\n'
		printf 'replace github.com/osrg/gobgp/v4 => github.com/osrg/gobgp/v4 v4.8.0\n'
	} >go.mod.new
	mv go.mod.new go.mod
	install -m 644 "$src/go.sum" go.sum
	go mod tidy
	for p in daemon:cilium-agent operator:cilium-operator cilium-dbg:cilium-dbg plugins/cilium-cni:cilium-cni \
		clustermesh-apiserver:clustermesh-apiserver; do
		go build -trimpath -tags osusergo,operator_generic,ipam_provider_operator -o "$PEERS/bin/${p#*:}" \
			-ldflags "-s -w -X github.com/cilium/cilium/pkg/version.ciliumVersion=$CILIUM" \
			"github.com/cilium/cilium/${p%%:*}"
	done
	# before 1.18 the agent does not start on a kernel without modules, for want of this file: it gets an empty one
	[ -e /proc/modules ] || LC_ALL=C sed -i 's|/proc/modules|/dev/////null|' "$PEERS/bin/cilium-agent"
}

# With the plugins that the tests configure, in the order of its own list; the others bring half of three clouds.
build_coredns() {
	local src mcs p plugins="bind ready errors log loadbalance cache kubernetes file forward"
	mkdir -p "$PEERS/coredns"
	mkdir -p "$PEERS/bin"
	cd "$PEERS/coredns"
	[ -e go.mod ] || printf 'module peers\n\ngo 1.26.0\n' >go.mod
	src=$(module_dir "github.com/coredns/coredns@v$COREDNS")
	{
		printf 'package main\n\nimport (\n\t"github.com/coredns/coredns/core/dnsserver"\n'
		printf '\t"github.com/coredns/coredns/coremain"\n'
		for p in $plugins; do printf '\t_ "github.com/coredns/coredns/plugin/%s"\n' "$p"; done
		printf ')\n\nfunc main() {\n\tdnsserver.Directives = []string{\n'
		for p in $plugins; do printf '\t\t"%s",\n' "$p"; done
		printf '\t}\n\tcoremain.Run()\n}\n'
	} >main.go
	{
		printf 'module peers\n\ngo 1.26.0\n\nrequire github.com/coredns/coredns v%s\n\n' "$COREDNS"
		replacements "$src"
	} >go.mod
	install -m 644 "$src/go.sum" go.sum
	go mod tidy
	# the resource definition of ServiceImports, which its multicluster zone is made from
	mcs=$(go list -m -f '{{.Dir}}' sigs.k8s.io/mcs-api)
	install -m 644 "$mcs/config/crd/multicluster.x-k8s.io_serviceimports.yaml" serviceimports.yaml
	go build -trimpath -o "$PEERS/bin/coredns" -ldflags "-s -w" .
}

# Nodes compile these; kept here because the module cache may be cleaned.
copy_bpf() {
	[ ! -d "$PEERS/bpf" ] || return 0
	cd "$PEERS/cilium"
	cp -r "$(module_dir "github.com/cilium/cilium@v$CILIUM")/bpf" "$PEERS/bpf.new"
	chmod -R u+w "$PEERS/bpf.new"
	mv "$PEERS/bpf.new" "$PEERS/bpf"
}

# The resource definitions that Cilium's operator makes, for clusters without an operator.
copy_crds() {
	[ ! -d "$PEERS/crds" ] || return 0
	cd "$PEERS/cilium"
	cp -r "$(module_dir "github.com/cilium/cilium@v$CILIUM")/pkg/k8s/apis/cilium.io/client/crds" "$PEERS/crds.new"
	chmod -R u+w "$PEERS/crds.new"
	mv "$PEERS/crds.new" "$PEERS/crds"
}

crds() { # VERSION
	local to=$PEERS_DEFAULT/crds-$1 src
	if [ ! -d "$to" ]; then
		mkdir -p "$PEERS_DEFAULT/modules"
		cd "$PEERS_DEFAULT/modules"
		[ -e go.mod ] || printf 'module peers\n\ngo 1.26.0\n' >go.mod
		src=$(module_dir "github.com/cilium/cilium@v$1")
		rm -rf "$to.new"
		cp -r "$src/pkg/k8s/apis/cilium.io/client/crds" "$to.new"
		chmod -R u+w "$to.new"
		grep -rhs --include=register.go 'CustomResourceDefinitionSchemaVersion = ' "$src/pkg/k8s/apis/cilium.io" |
			sed 's/.*"\(.*\)"/\1/' >"$to.new/schema-version"
		mv "$to.new" "$to"
	fi
	echo "$to"
}

oracle() {
	local source
	source=$here/oracle/main.go
	mkdir -p "$PEERS/cilium/oracle"
	cmp -s "$source" "$PEERS/cilium/oracle/main.go" && [ -x "$PEERS/bin/policy-oracle" ] && return
	cd "$PEERS/cilium"
	cp "$source" oracle/main.go
	go build -trimpath -tags osusergo -o "$PEERS/bin/policy-oracle" ./oracle
}

check() {
	local p
	for p in $PROGRAMS; do [ -x "$PEERS/bin/$p" ] || { echo "missing: $PEERS/bin/$p" >&2; return 1; }; done
	[ -d "$PEERS/bpf" ] || { echo "missing: $PEERS/bpf" >&2; return 1; }
}

check_coredns() { [ -x "$PEERS/bin/coredns" ] && [ -e "$PEERS/coredns/serviceimports.yaml" ]; }

# What is of the usual version is not built again.
borrow() {
	local usual=$PEERS_DEFAULT n
	[ "$PEERS" != "$usual" ] || return 0
	[ "$K8S" != "$K8S_DEFAULT" ] || link_from "$usual" bin/hyperkube
	[ "$CILIUM" != "$CILIUM_DEFAULT" ] || for n in bpf crds bin/{cilium-{agent,operator,dbg,cni},clustermesh-apiserver}; do
		link_from "$usual" "$n"
	done
	for n in coredns bin/coredns; do link_from "$usual" "$n"; done
}
link_from() { # FOLDER NAME
	[ ! -e "$1/$2" ] || [ -e "$PEERS/$2" ] || ln -sfn "$1/$2" "$PEERS/$2"
}

build() {
	local n
	mkdir -p "$PEERS/bin"
	borrow
	[ -x "$PEERS/bin/hyperkube" ] || build_kubernetes
	for n in etcd kube-apiserver kube-controller-manager kubectl; do ln -sf hyperkube "$PEERS/bin/$n"; done
	for n in $PROGRAMS; do [ -x "$PEERS/bin/$n" ] || { build_cilium; break; }; done
	copy_bpf
	copy_crds
	check
	# what needs only this one can do without it
	check_coredns || "$here/peers.sh" build coredns || echo "CoreDNS is not built: the tests beside it are skipped" >&2
}

case ${*} in
build | check | oracle) "$1" ;;
"build coredns" | "check coredns") "$1_coredns" ;;
"crds "[0-9]*.[0-9]*.[0-9]*) crds "$2" ;;
*) echo "usage: peers.sh build|check [coredns], or oracle, or crds VERSION" >&2; exit 2 ;;
esac
