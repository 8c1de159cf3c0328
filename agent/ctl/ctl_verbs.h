/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs of the control socket and the shape of their data. `meshctl -o json` prints the data as
 * it is, so members keep their name and meaning; new ones may be added. A member marked ? may be
 * missing or null. Lists may be empty. Times are ages in milliseconds, so that no clock matters.
 *
 *   LABELS     ["k8s:jedi=luke", ...] sorted
 *   DIRECTION  {"ingress": X, "egress": X}
 *   COUNT      integer >= 0
 *
 * status {} ->
 *   { "version": "0.1.0", "uptime_ms": COUNT, "joined": bool,
 *     "state": "not-joined" | "starting" | "ok" | "degraded" | "frozen" | "revoked" | "cloned" |
 *              "enrolment-changed",
 *     "cluster"?: {"name", "id": COUNT, "uid"},
 *     "host"?, "namespace"?, "identity"?: COUNT, "labels": LABELS, "addresses": ["172.19.100.2"],
 *     "enforcement": {DIRECTION of "disabled" | "enforced" | "audit"},
 *     "api": {"server"?, "connected": bool, "last_event_age_ms"?: COUNT,
 *             "error"?: text, "token_expires_in_ms"?: COUNT,
 *             "kinds": [{"kind": "CiliumEndpoint", "synced": bool, "objects": COUNT,
 *                        "rejected": COUNT, "last_event_age_ms"?: COUNT}]},
 *     "datapath": {"mode"?: "vxlan" | "geneve" | "native", "device"?, "mtu"?: COUNT,
 *                  "attach"?: "tcx" | "clsact", "interfaces": ["eth0"],
 *                  "generation": COUNT, "planned_generation": COUNT, "pending_age_ms"?: COUNT},
 *     "failsafe": [{"direction": "ingress" | "egress", "protocol": "tcp", "port": COUNT (0 = any),
 *                   "cidr", "origin": "config" | "automatic", "hits": COUNT}],
 *     "dns": {"enabled": bool, "zone"?, "listen": ["127.18.53.53:53"], "upstreams": ["ip:port"],
 *             "queries": COUNT, "wiring"?: text as in dns.status},
 *     "policies": {"enforced": COUNT, "degraded": COUNT, "rejected": COUNT, "not_selecting": COUNT, "shadow": COUNT},
 *     "guard"?: as policy.guard,
 *     "services": {"services": COUNT, "backends": COUNT},
 *     "drops": DIRECTION of COUNT of packets since the boot, or since the host joined; "drop_reasons": [{"direction",
 *     "reason": text, "reason_code": COUNT, "packets": COUNT, "bytes": COUNT}] of them, without those that nothing was
 *     dropped for; "audited": DIRECTION of COUNT of those that audit mode let pass,
 *     "shadow_drops": and of those that shadow policies would have dropped,
 *     "conditions": [{"name": "api.unreachable", "severity": "error" | "warning" | "info",
 *                     "text", "remedy"?, "age_ms"?: COUNT}] }
 *   The state is "ok" only without conditions of severity error or warning.
 *
 * endpoint.list {"all"?: bool} -> this host's endpoint first; with "all" every known one
 *   [{"namespace", "name", "local": bool, "identity": COUNT, "labels": LABELS,
 *     "addresses": ["10.0.0.1"], "node"?, "state"?: "ready" | "disconnected" | ...,
 *     "enforcement"?: DIRECTION as in status, "named_ports": [{"name", "port": COUNT, "protocol"}]}]
 *
 * identity.list {} -> [{"id": COUNT, "labels": LABELS, "endpoints"?: COUNT, "reserved": bool}]
 * identity.get {"id": COUNT} -> one element of it; not-found
 *
 * node.list {} ->
 *   [{"name", "local": bool, "addresses": ["172.19.0.3"], "pod_cidrs": ["10.244.0.0/24"],
 *     "tunnel_endpoint"?}]
 *
 * policy.list {} ->
 *   [{"kind": "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy" | "NetworkPolicy",
 *     "namespace"?, "name", "state": "enforced" | "not-selecting" | "rejected" | "degraded" | "shadow",
 *     "reason"?: text, "rules": COUNT, "directions": ["ingress", "egress"]}]
 *
 * policy.why {"direction": "ingress" | "egress", "protocol": "tcp", "port"?: text, "icmp_type"?: text,
 *     "address"?: ip, "identity"?: COUNT} with one of the last two; the words are those of meshctl ->
 *   { "verdict": "allow" | "deny", "reason": text,
 *     "rules": [{"kind", "namespace", "name", "path": "spec.ingress[0]",
 *                "action": "allow" | "deny" | "auth" | "proxy"}],
 *     "isolated_by": [{"kind", "namespace", "name"}], "near": [{"kind", "namespace", "name", "path", "differs": "peer" | "port"}],
 *     "shadow"?: {"verdict", "reason", "rules"} with the shadow policies in force,
 *     "identity": COUNT, "labels": LABELS, "failsafe": bool, "enforcement" of the direction as in status }
 *   Where no rule allows it, "isolated_by" are the policies that deny by default, and "near" the rules that would allow it
 *   of another peer, or to another port; else they are empty.
 *   The rules are all that match; "failsafe" says that the failsafe set lets the packet through before
 *   any policy is asked; the verdict is then "allow". In audit mode the verdict is that of the
 *   policies. not-found for an unknown identity.
 *
 * policy.shadow {"namespace"?, "name"?} -> all shadow policies that select this host, or those of one name
 *   { "policies": [{"kind", "namespace"?, "name", "by": "annotation" | "choice", "directions": ["ingress"],
 *                   "watched_ms"?: COUNT, "flows": COUNT of new flows in its directions since then,
 *                   "would_drop": COUNT of flows, "verdict": "safe" | "would-drop" | "unknown",
 *                   "statement": text,
 *                   "peers": [{"direction", "address", "identity": COUNT, "labels": LABELS, "name"?: "namespace/name",
 *                              "protocol", "port"?: COUNT, "icmp_type"?: COUNT, "reason": text, "flows": COUNT,
 *                              "first_seen_ms": COUNT, "last_seen_ms": COUNT}], "more_peers": COUNT}],
 *     "choices": [{"namespace", "name", "mode": "shadow" | "enforce"}],
 *     "unlisted_flows": COUNT that found no room in the table of peers }
 *   Shadow policies are judged together: what one of them would drop and another allows counts for none.
 * policy.shadow-set {"namespace" ("" = cluster-wide), "name", "mode": "on" | "off" | "auto"} ->
 *   {"changed": bool, "mode": "shadow" | "enforce" | "as-marked"}
 *
 * policy.guard {} ->
 *   { "state": "off" | "armed" | "pending" | "rolled-back", "timeout_ms"?: COUNT, "remaining_ms"?: COUNT,
 *     "joining"?: bool, "confirmed_policies"?: COUNT, "waiting_policies"?: COUNT }
 *   "joining": what comes back is no enforcement at all, as before joining.
 * policy.guard-set {"confirm": "120s"} or {"off": true} -> as policy.guard; busy while a change waits
 * policy.confirm {} -> as policy.guard; not-found without a guard
 *
 * service.list {} ->
 *   [{"id": COUNT, "namespace", "name", "type": "ClusterIP" | "external" | "portal",
 *     "state": "programmed" | "no-backends" | "portal" | "not-ready" | "terminating" | "stopped" | "drained" |
 *              "undecided" | "skipped", "reason"?: text,
 *     "affinity_s"?: COUNT, "frontends": [{"address", "port": COUNT, "protocol": "tcp"}],
 *     "backends": [{"address", "port": COUNT, "protocol", "state": "active" | "terminating" |
 *                   "not-ready" (portal only)}]}]
 *   Frontends and backends are listed for each port: one element a service port, as in cilium-dbg.
 *   An element of type "portal" is a Service that this host stands behind; its backends are this host.
 *
 * ipcache.list {"prefix"?: "10.0.0.0/8"} -> those inside the prefix
 *   [{"prefix": "10.244.0.7/32", "identity": COUNT, "labels"?: LABELS, "tunnel_endpoint"?: ip,
 *     "encryption_key"?: COUNT, "source": "custom-resource" | "node" | "kube-apiserver" | "policy" | "world",
 *     "name"?: "namespace/name"}]
 * ipcache.get {"address": ip} -> the element that a packet of this address matches; not-found
 *
 * map.list {} -> [{"name": "mesh_ct4", "type": "lru_hash", "entries": COUNT, "max_entries": COUNT,
 *                  "errors": COUNT of writes of the daemon that failed since it started}]
 *
 * dns.status {} ->
 *   { "enabled": bool, "reason"?: text why not, "zone"?, "listen": ["127.18.53.53:53"],
 *     "upstreams": [{"address", "up"?: bool of the last attempt, "queries": COUNT of attempts, "failures": COUNT,
 *                    "keeps_case": bool, false if it is asked in lower case, as it does not repeat questions in their letters,
 *                    "latency_us"?: COUNT, "last_answer_age_ms"?: COUNT, "error"?: text, "error_age_ms"?: COUNT}],
 *     "cache": {"entries": COUNT, "max_entries": COUNT, "bytes": COUNT, "hits": COUNT, "misses": COUNT,
 *               "evictions": COUNT},
 *     "queries": {"all": COUNT, "cluster": COUNT, "forwarded": COUNT, "refused": COUNT, "failed": COUNT,
 *                 "held": COUNT, "redirected": COUNT that were meant for other servers},
 *     "redirects": bool: queries to other servers come to this one, as dns rules are in force,
 *     "services": COUNT, "records": COUNT of addresses and aliases under their names,
 *     "wiring": {"method": "resolv.conf" | "systemd-resolved" | "none", "state": "ok" | "off" | "unknown", "text"},
 *     "host_resolver"?: {"found": text, "method": "none" | "systemd-resolved" | "networkmanager" | "resolvconf" | "resolv.conf",
 *                        "splits": bool: it asks the agent for names of the cluster only, "domains"?: [ZONE...], those names,
 *                        "reason"?: text why it is left alone} }
 *   With "host_resolver" meshctl tests it, and -o json adds
 *     "test": {"name", "state": "ok" | "failed", "client"?: address from which the agent was asked, "time_us": COUNT, "text"}.
 * dns.query {"name", "type": "A" | "SRV" | ..., "port"?: COUNT, "id"?: COUNT} -> why the DNS server answers as it does.
 *   With "port" and "id" it is about the query by UDP that came from there, else about what would become of one now.
 *   { "name", "type", "source": "cluster" | "cache" | "upstream" | "refused" | "none",
 *     "explanation": text, a sentence a line, "traced": bool: it is about that query, "upstream"?: "ip:port",
 *     "held"?: bool, "listen": ["127.18.53.53:53"] }
 *   not-found if dns.enabled is false; busy while the server does not run yet. meshctl sends the query itself, and
 *   -o json adds what came: {"rcode": "NOERROR", "flags": "qr aa rd", "server": "127.18.53.53:53",
 *     "transport": "udp" | "tcp", "time_us": COUNT, "answers": [{"name", "type", "ttl_s": COUNT, "data"}],
 *     "authority": the same, "additional": the same, "malformed"?: bool}, without "listen".
 * dns.asked {"name"} -> whether that is among the last queries by UDP
 *   {"asked": bool, "client"?: address}
 * dns.learned {} -> by name, for toFQDNs; an element for each address
 *   [{"name": "example.com", "address", "ttl_s": COUNT, "zombie": bool, "selectors": ["*.com"]}]
 *   A zombie is expired, and stays allowed while connections of this host to it live.
 *
 * forward.list {} -> ports of this host whose connections go to a Service
 *   [{"address"?: ip (missing: all of this host), "port": COUNT, "namespace", "service", "service_port": COUNT,
 *     "state": "listening" | "waiting", "reason"?: text, "connections": COUNT since the start, "active": COUNT,
 *     "failed": COUNT of connections, "more_callers": COUNT of addresses that were forgotten,
 *     "callers": [{"address": ip, "connections": COUNT, "active": COUNT, "first_seen_ms": COUNT ago, "last_seen_ms": COUNT}]}]
 *
 * migrate.plan MIGRATE -> what migrate.start would do; shares are thousandths of new connections
 *   { "service", "namespace", "to": "host" | "pods", "by": "turns" | "weights", "pods": COUNT of other ready endpoints,
 *     "host_permille": COUNT as it is now, "interval_s": COUNT, "max_errors_permille": COUNT, "max_latency_factor": COUNT,
 *     "check"?: {"type": "tcp" | "http" | "https", "host_port": COUNT, "path"?},
 *     "steps": [{"host_permille": COUNT expected, "hold_ms": COUNT, "standby": bool, "weight"?: COUNT, "on_ms"?: COUNT of
 *                each "window_ms"?: COUNT that the host is ready}],
 *     "notes": [text], "refusal"?: text why it cannot begin }
 *   MIGRATE is {"service", "to", "by"?, "step_permille"?: COUNT, "interval_s"?: COUNT, "max_errors_permille"?: COUNT,
 *     "max_latency_factor"?: COUNT}
 * migrate.start MIGRATE -> as an element of migrate.status; busy while one of the Service is under way
 * migrate.status {"service"?} -> those under way, and the last one of each Service; not-found for an unknown Service
 *   [{"service", "namespace", "to", "by", "state": "checking" | "stepping" | "paused" | "done" | "rolled-back" | "aborted",
 *     "running": bool, "step": COUNT, "steps": COUNT of all, "pods": COUNT, "host_permille": COUNT expected, "standby": bool,
 *     "weight"?: COUNT, "held_ms"?: COUNT of "hold_ms"?: COUNT, "waiting"?: text why it does not go on,
 *     "reason"?: text why it ended, "restarts": COUNT of the daemon meanwhile, "connections"?: COUNT that are open to the
 *     port of this host, "sides": {"host": SIDE, "pods": SIDE}}]
 *   SIDE is {"checks": COUNT, "errors": COUNT, "latency_us": COUNT, "error"?: text of the last one}, of this step
 * migrate.set {"service", "action": "pause" | "resume" | "abort"} -> as an element of migrate.status, or {} for one that
 *   was only a memory; not-found
 *
 * drain {"last"?: bool} -> {"slices_left": COUNT}; withdraws the host from all Services until the daemon starts again. Takes
 *   drain-time and up to 10 seconds more if the API server does not answer: less than CTL_DRAIN_S. With "last" the daemon is to
 *   be stopped next, and gives its Lease back, too.
 *
 * leave {"force"?: bool} -> {"steps": ["..."]}; the host's objects keep existing, disconnected; with "force" as they
 *   were, since the API is not asked. Takes up to CTL_LEAVE_S.
 *
 * monitor {"drops_only"?: bool, "peer"?: ip, "identity"?: COUNT, "direction"?} streams the topic
 * "monitor". The daemon may ignore the filters: the client applies them too. Each event is
 *   { "type": "drop" | "verdict" | "audit" | "shadow", "direction": "ingress" | "egress", "time_us": COUNT
 *     (CLOCK_BOOTTIME), "reason": text, "reason_code"?: COUNT,
 *     "verdict"?: "allow" | "deny" | "audit" | "shadow", "interface"?, "tunnel"?: bool, "family": 4 | 6 | 0,
 *     "source": ip, "source_port"?: COUNT, "destination": ip, "destination_port"?: COUNT,
 *     "protocol": "tcp", "tcp_flags"?: "S", "icmp_type"?: COUNT, "bytes": COUNT,
 *     "peer": {"identity": COUNT, "labels": LABELS, "name"?: "namespace/name"},
 *     "rule"?: {"kind", "namespace"?, "name", "path": "spec.ingress[0]"},
 *     "isolated_by"?: [{"kind", "namespace", "name"}] where no rule allows it: the policies that deny by default,
 *     "suppressed": COUNT }
 *   "suppressed" is how many events of that CPU the datapath's rate limit held back before this one.
 */
#pragma once

#define CTL_VERB_STATUS	       "status"
#define CTL_VERB_ENDPOINT_LIST "endpoint.list"
#define CTL_VERB_IDENTITY_LIST "identity.list"
#define CTL_VERB_IDENTITY_GET  "identity.get"
#define CTL_VERB_NODE_LIST     "node.list"
#define CTL_VERB_POLICY_LIST   "policy.list"
#define CTL_VERB_POLICY_WHY    "policy.why"
#define CTL_VERB_POLICY_SHADOW     "policy.shadow"
#define CTL_VERB_POLICY_SHADOW_SET "policy.shadow-set" /* writes */
#define CTL_VERB_POLICY_GUARD	   "policy.guard"
#define CTL_VERB_POLICY_GUARD_SET  "policy.guard-set" /* writes */
#define CTL_VERB_POLICY_CONFIRM	   "policy.confirm"   /* writes */
#define CTL_VERB_SERVICE_LIST  "service.list"
#define CTL_VERB_IPCACHE_LIST  "ipcache.list"
#define CTL_VERB_IPCACHE_GET   "ipcache.get"
#define CTL_VERB_MAP_LIST      "map.list"
#define CTL_VERB_DNS_STATUS    "dns.status"
#define CTL_VERB_DNS_QUERY     "dns.query"
#define CTL_VERB_DNS_ASKED     "dns.asked"
#define CTL_VERB_DNS_LEARNED   "dns.learned"
#define CTL_VERB_FORWARD_LIST  "forward.list"
#define CTL_VERB_MIGRATE_PLAN	"migrate.plan"
#define CTL_VERB_MIGRATE_STATUS "migrate.status"
#define CTL_VERB_MIGRATE_START	"migrate.start" /* writes */
#define CTL_VERB_MIGRATE_SET	"migrate.set"	/* writes */
#define CTL_VERB_DRAIN	       "drain"   /* writes */
#define CTL_VERB_LEAVE	       "leave"   /* writes */

enum {
	CTL_LEAVE_S = 30,  /* then the daemon gives up */
	CTL_DRAIN_S = 320, /* the longest drain-time, and the API server's */
};
#define CTL_VERB_MONITOR       "monitor" /* a stream */

#define CTL_TOPIC_MONITOR "monitor"
