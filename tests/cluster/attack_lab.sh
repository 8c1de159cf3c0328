#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A real control plane (etcd, kube-apiserver, kube-controller-manager) on loopback only, with the
# Cilium CRDs: enough for enrolment and admission tests. Needs no root and no bridge.
#   K8S, PEERS  see lib.sh
#   LAB    state directory          PORT  API server port (26443)
#   CRDS   directory with the Cilium CRD manifests (v2/ and v2alpha1/); PEERS/crds
# Usage: attack_lab.sh up|down|wipe
set -euo pipefail
LAB=${LAB:-/tmp/enrol-lab}
. "$(cd "$(dirname "$0")" && pwd)/lib.sh"
PORT=${PORT:-26443}
ETCD=${ETCD:-22379}
CRDS=${CRDS:-$PEERS/crds}

pki() {
	mkdir -p "$LAB/pki"
	cd "$LAB"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=kubernetes \
		-keyout pki/ca.key -out pki/ca.crt 2>/dev/null
	mk() { # name, subject, SAN
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" \
			-keyout "pki/$1.key" -out "pki/$1.csr" 2>/dev/null
		openssl x509 -req -in "pki/$1.csr" -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -days 30 \
			-out "pki/$1.crt" -extfile <(echo "subjectAltName=${3:-DNS:$1}") 2>/dev/null
	}
	mk apiserver /CN=kube-apiserver DNS:kubernetes,DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:10.96.0.1
	cat pki/ca.crt >>pki/apiserver.crt # shows its CA, for tokens with a pin only
	mk admin /O=system:masters/CN=admin
	mk kcm /CN=system:kube-controller-manager
	openssl genrsa -out pki/sa.key 2048 2>/dev/null
	openssl rsa -in pki/sa.key -pubout -out pki/sa.pub 2>/dev/null
	for u in admin kcm; do
		export KUBECONFIG=$LAB/$u.conf
		kubectl config set-cluster lab --server="https://127.0.0.1:$PORT" --certificate-authority=pki/ca.crt --embed-certs
		kubectl config set-credentials $u --client-certificate="pki/$u.crt" --client-key="pki/$u.key" --embed-certs
		kubectl config set-context lab --cluster=lab --user=$u
		kubectl config use-context lab
	done >/dev/null
}

start() { # name, command...
	local name=$1
	shift
	setsid nohup "$@" >"$LAB/log/$name.log" 2>&1 &
	echo $! >"$LAB/$name.pid"
}

up() {
	mkdir -p "$LAB/log"
	[ -e "$LAB/pki/ca.crt" ] || (pki)
	cd "$LAB"
	export KUBECONFIG=$LAB/admin.conf
	start etcd etcd --data-dir "$LAB/etcd" --unsafe-no-fsync \
		--listen-client-urls "http://127.0.0.1:$ETCD" --advertise-client-urls "http://127.0.0.1:$ETCD" \
		--listen-peer-urls "http://127.0.0.1:$((ETCD + 1))" --initial-advertise-peer-urls "http://127.0.0.1:$((ETCD + 1))" \
		--initial-cluster "default=http://127.0.0.1:$((ETCD + 1))"
	# shellcheck disable=SC2086
	start apiserver kube-apiserver --etcd-servers="http://127.0.0.1:$ETCD" --bind-address=127.0.0.1 \
		--advertise-address=10.255.0.1 --endpoint-reconciler-type=none --secure-port="$PORT" \
		--tls-cert-file=pki/apiserver.crt --tls-private-key-file=pki/apiserver.key --client-ca-file=pki/ca.crt \
		--service-account-issuer=https://kubernetes.default.svc --service-account-key-file=pki/sa.pub \
		--service-account-signing-key-file=pki/sa.key --service-cluster-ip-range=10.96.0.0/16 \
		--authorization-mode=Node,RBAC ${APISERVER_FLAGS:-}
	for _ in $(seq 120); do
		kubectl get --raw /readyz >/dev/null 2>&1 && break
		sleep 0.5
	done
	start kcm kube-controller-manager --kubeconfig="$LAB/kcm.conf" --service-account-private-key-file=pki/sa.key \
		--root-ca-file=pki/ca.crt --use-service-account-credentials --leader-elect=false --secure-port=0
	kubectl apply -f "$CRDS/v2" -f "$CRDS/v2alpha1" >/dev/null
	kubectl wait --for=condition=Established --timeout=60s crd --all >/dev/null
	# established, and still "storage is (re)initializing" for a while
	local kind
	for kind in $(kubectl get crd -o name); do
		for _ in $(seq 120); do
			kubectl get "${kind#*/}" -A >/dev/null 2>&1 && break
			sleep 0.5
		done
	done
	kubectl get --raw /readyz
	echo
}

down() {
	for p in kcm apiserver etcd; do
		[ -e "$LAB/$p.pid" ] || continue
		kill "$(cat "$LAB/$p.pid")" 2>/dev/null || true
		rm -f "$LAB/$p.pid"
		sleep 0.5
	done
}

wipe() {
	down
	rm -rf "$LAB"
}

"$@"
