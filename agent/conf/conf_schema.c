/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf_schema.h"

#include <stddef.h>
#include <syslog.h>

#include "base/macro.h"

static const struct conf_choice log_levels[] = {
	{"error", LOG_ERR}, {"warning", LOG_WARNING}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}, {NULL, 0}};
static const struct conf_choice revoked[] = {
	{"enforce", CONF_REVOKED_ENFORCE}, {"stand-down", CONF_REVOKED_STAND_DOWN}, {NULL, 0}};
static const struct conf_choice translate[] = {
	{"auto", CONF_TRANSLATE_AUTO}, {"on", CONF_TRANSLATE_ON}, {"off", CONF_TRANSLATE_OFF}, {NULL, 0}};
static const struct conf_choice ends[] = {
	{"all", CONF_END_ALL}, {"udp", CONF_END_UDP}, {"none", CONF_END_NONE}, {NULL, 0}};
static const struct conf_choice attach[] = {{"auto", CONF_ATTACH_AUTO}, {"clsact", CONF_ATTACH_CLSACT}, {NULL, 0}};
static const struct conf_choice boot[] = {
	{"last", CONF_BOOT_LAST}, {"closed", CONF_BOOT_CLOSED}, {"open", CONF_BOOT_OPEN}, {NULL, 0}};
static const struct conf_choice resolvers[] = {{"off", CONF_RESOLVER_OFF},
					       {"split", CONF_RESOLVER_SPLIT},
					       {"auto", CONF_RESOLVER_AUTO},
					       {"resolved", CONF_RESOLVER_RESOLVED},
					       {"networkmanager", CONF_RESOLVER_NETWORKMANAGER},
					       {"resolvconf", CONF_RESOLVER_RESOLVCONF},
					       {"file", CONF_RESOLVER_FILE},
					       {NULL, 0}};

#define AT(member) offsetof(struct conf, member)

/* In the order of the man page and of the packaged file. */
const struct conf_key conf_keys[] = {
	{"state-dir", CONF_PATH, AT(state_dir), "\"/var/lib/mesh-external-agent\"", .is_restart = true,
	 .doc = "Credentials and the state that joining wrote"},
	{"runtime-dir", CONF_PATH, AT(runtime_dir), "\"/run/mesh-external-agent\"", .is_restart = true,
	 .doc = "What lives until the next boot"},
	{"bpf-root", CONF_PATH, AT(bpf_root), "\"/sys/fs/bpf/mesh-external-agent\"", .is_restart = true,
	 .doc = "Directory on a BPF file system where programs and maps are pinned"},
	{"cgroup-root", CONF_PATH, AT(cgroup_root), "\"/sys/fs/cgroup\"", .is_restart = true,
	 .doc = "cgroup v2 whose processes reach services"},
	{"control-socket", CONF_TEXT, AT(control_socket), "\"\"", .max = 107, .is_restart = true,
	 .doc = "Socket of meshctl; empty: control.sock in runtime-dir"},
	{"control-group", CONF_TEXT, AT(control_group), "\"\"", .max = 32, .is_restart = true,
	 .doc = "Group whose members may ask, but change nothing; empty: root only"},
	{"log-level", CONF_CHOICE, AT(log_level), "\"info\"", .choices = log_levels,
	 .doc = "Least severe messages that are logged"},
	{"interfaces", CONF_DEVICES, AT(interfaces), "[ ]", .max = 64,
	 .doc = "External network devices, * at the end matches the rest; empty: found by routes"},
	{"addresses", CONF_IPS, AT(addresses), "[ ]", .max = 16,
	 .doc = "Addresses to register; empty: those of the devices that the enrolment allows"},
	{"zone", CONF_TEXT, AT(zone), "\"\"", .is_restart = true, .max = 63,
	 .doc = "Topology zone of this host, for services that prefer close backends; empty: none"},
	{"tunnel-device", CONF_DEVICE, AT(tunnel_device), "\"mesh0\"", .is_restart = true,
	 .doc = "Name of the tunnel device"},
	{"mtu", CONF_INT, AT(mtu), "0", .max = 65535,
	 .doc = "MTU of routes to pods in bytes; 0: from the underlay"},
	{"revoked-action", CONF_CHOICE, AT(revoked_action), "\"enforce\"", .choices = revoked,
	 .doc = "After the cluster removed this host: keep the last policies, or detach everything"},
	{"policy-audit-mode", CONF_BOOL, AT(has_policy_audit), "false",
	 .doc = "Whether what policies deny is only counted and told, and passes"},
	{"named-ports", CONF_NAMED_PORTS, AT(named_ports), "( )", .is_restart = true, .max = 64,
	 .doc = "Ports of this host that policies and services may call by name"},
	{"health-probes", CONF_PROBES, AT(probes), "( )", .max = 64,
	 .doc = "How to learn whether this host can serve the Services that it stands behind"},
	{"drain-time", CONF_INT, AT(drain_time_s), "2", .max = 300,
	 .doc = "Seconds that clients have to leave before this host stands behind no Service any more"},
	{"forwards", CONF_FORWARDS, AT(forwards), "( )", .max = 64,
	 .doc = "TCP ports of this host whose connections go to a Service, after its workload has moved"},
	{"failsafe.enabled", CONF_BOOL, AT(failsafe.is_enabled), "true",
	 .doc = "Whether the failsafe set is decided before any policy"},
	{"failsafe.automatic", CONF_BOOL, AT(failsafe.has_automatic), "true",
	 .doc = "Whether DNS to the configured resolvers belongs to it"},
	{"failsafe.inbound", CONF_FAILSAFES, AT(failsafe.inbound), "( { protocol = \"tcp\"; port = 22; } )",
	 .max = 64, .doc = "Connections to this host that no policy can stop"},
	{"failsafe.outbound", CONF_FAILSAFES, AT(failsafe.outbound), "( )", .max = 64,
	 .doc = "Connections from this host that no policy can stop"},
	{"dns.enabled", CONF_BOOL, AT(dns.is_enabled), "true", .is_restart = true,
	 .doc = "Whether the agent answers cluster names"},
	{"dns.listen", CONF_IPS, AT(dns.listen), "[ \"127.18.53.53\" ]", .is_restart = true, .max = 8,
	 .doc = "Addresses of this host where it answers"},
	{"dns.port", CONF_INT, AT(dns.port), "53", .is_restart = true, .min = 1, .max = 65535, .doc = "UDP and TCP port of it"},
	{"dns.upstreams", CONF_IPS, AT(dns.upstreams), "[ ]", .is_restart = true, .max = 8,
	 .doc = "Servers for all other names; empty: those of /etc/resolv.conf"},
	{"dns.reverse", CONF_CIDRS, AT(dns.reverse), "[ ]", .is_restart = true, .max = 16,
	 .doc = "Ranges of the cluster's services and pods: names of their addresses are the agent's"},
	{"dns.cache-size", CONF_INT, AT(dns.cache_size), "10000", .is_restart = true, .max = 1000000,
	 .doc = "Answers of other servers to keep"},
	{"dns.host-resolver", CONF_CHOICE, AT(dns.host_resolver), "\"split\"", .choices = resolvers, .is_restart = true,
	 .doc = "How the host's resolver is made to ask the agent; split: for the names of the cluster or not at all"},
	{"services.load-balancers", CONF_CHOICE, AT(services.load_balancers), "\"auto\"", .choices = translate,
	 .doc = "Whether addresses of load balancers lead to the backends; auto: if Cilium replaces kube-proxy"},
	{"services.node-ports", CONF_CHOICE, AT(services.node_ports), "\"auto\"", .choices = translate,
	 .doc = "Whether node ports of all nodes do; auto: likewise"},
	{"services.external-ips", CONF_BOOL, AT(services.has_external_ips), "false",
	 .doc = "Whether externalIPs do, which whoever may write Services can set to any address"},
	{"services.end-connections", CONF_CHOICE, AT(services.end_connections), "\"all\"", .choices = ends,
	 .doc = "Which connections end when the backend of their service vanishes: all, udp or none"},
	{"datapath.attach", CONF_CHOICE, AT(datapath.attach), "\"auto\"", .choices = attach,
	 .is_restart = true, .doc = "auto: tcx where the kernel has it; clsact: as older kernels do it"},
	{"datapath.backstop", CONF_BOOL, AT(datapath.has_backstop), "true", .is_restart = true,
	 .doc = "Whether sockets ask the policy where an interface has no program"},
	{"datapath.boot", CONF_CHOICE, AT(datapath.boot), "\"last\"", .choices = boot, .is_restart = true,
	 .doc = "From a boot to the API server's answer: last: what was in force; closed: the failsafe set passes; open: all"},
	{"datapath.ct-max-entries", CONF_INT, AT(datapath.ct_max_entries), "262144", .min = 1024,
	 .max = 16777216, .is_restart = true, .doc = "Flows of each address family"},
	{"datapath.ipcache-max-entries", CONF_INT, AT(datapath.ipcache_max_entries), "524288",
	 .min = 1024, .max = 4194304, .is_restart = true, .doc = "Addresses of each family"},
	{"datapath.policy-max-entries", CONF_INT, AT(datapath.policy_max_entries), "262144", .min = 1024,
	 .max = 4194304, .is_restart = true, .doc = "Entries of each policy table, half of them for the policy that comes next"},
	{"datapath.service-max-entries", CONF_INT, AT(datapath.service_max_entries), "65536",
	 .min = 256, .max = 1048576, .is_restart = true, .doc = "Frontends of services"},
	{"datapath.backend-max-entries", CONF_INT, AT(datapath.backend_max_entries), "262144",
	 .min = 256, .max = 4194304, .is_restart = true, .doc = "Backends of services"},
	{"datapath.affinity-max-entries", CONF_INT, AT(datapath.affinity_max_entries), "65536",
	 .min = 256, .max = 4194304, .is_restart = true, .doc = "Clients whose backend is remembered"},
	{"monitor.rate", CONF_INT, AT(monitor.rate), "1000", .min = 1, .max = 1000000,
	 .doc = "Events a second and CPU"},
	{"monitor.burst", CONF_INT, AT(monitor.burst), "1000", .min = 1, .max = 1000000,
	 .doc = "Events of a CPU at once"},
};
const size_t conf_keys_n = ARRAY_LEN(conf_keys);
