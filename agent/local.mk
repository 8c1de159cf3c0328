# The agent's layers, lowest first. A file includes only its own layer or lower ones (tests/lint/layers).
noinst_LIBRARIES += agent/libmesh.a
agent_libmesh_a_SOURCES =

# base
agent_libmesh_a_SOURCES += \
	agent/base/array.h \
	agent/base/backoff.c agent/base/backoff.h \
	agent/base/buf.c agent/base/buf.h \
	agent/base/cleanup.h \
	agent/base/clock.c agent/base/clock.h \
	agent/base/err.c agent/base/err.h \
	agent/base/file.c agent/base/file.h \
	agent/base/hash.c agent/base/hash.h \
	agent/base/ip.c agent/base/ip.h \
	agent/base/limits.h \
	agent/base/log.c agent/base/log.h \
	agent/base/macro.h \
	agent/base/reverse_zone.c agent/base/reverse_zone.h \
	agent/base/rng.c agent/base/rng.h \
	agent/base/str.c agent/base/str.h \
	agent/base/url.c agent/base/url.h \
	agent/base/u32map.c agent/base/u32map.h \
	agent/base/wire.c agent/base/wire.h

# event
agent_libmesh_a_SOURCES += \
	agent/event/loop.c agent/event/loop.h \
	agent/event/retry.c agent/event/retry.h

# priv
agent_libmesh_a_SOURCES += \
	agent/priv/priv.c agent/priv/priv.h \
	agent/priv/priv_filter.c agent/priv/priv_filter.h \
	agent/priv/priv_serve.c \
	agent/priv/priv_sock.c agent/priv/priv_sock.h \
	agent/priv/priv_wire.c agent/priv/priv_wire.h

# crypto
agent_libmesh_a_SOURCES += \
	agent/crypto/base64.c agent/crypto/base64.h \
	agent/crypto/jwt.c agent/crypto/jwt.h \
	agent/crypto/secret.c agent/crypto/secret.h \
	agent/crypto/x509.c agent/crypto/x509.h agent/crypto/x509_internal.h \
	agent/crypto/x509_fetch.c

# json
agent_libmesh_a_SOURCES += \
	agent/json/doc.c agent/json/doc.h agent/json/doc_private.h \
	agent/json/doc_text.c \
	agent/json/doc_write.c agent/json/doc_write.h \
	agent/json/json.c agent/json/json.h \
	agent/json/json_build.c agent/json/json_build.h \
	agent/json/json_paths.c agent/json/json_paths.h \
	agent/json/json_plain.h agent/json/json_scan.c agent/json/json_scan.h \
	agent/json/json_stream.c agent/json/json_stream.h

# conf, obs
agent_libmesh_a_SOURCES += \
	agent/conf/conf.c agent/conf/conf.h \
	agent/conf/conf_forward.c \
	agent/conf/conf_list.c \
	agent/conf/conf_probe.c \
	agent/conf/conf_schema.c agent/conf/conf_schema.h \
	agent/conf/conf_value.c

# http
agent_libmesh_a_SOURCES += \
	agent/http/http.c agent/http/http.h \
	agent/http/http_certs.c agent/http/http_certs.h \
	agent/http/http_head.c agent/http/http_head.h \
	agent/http/http_socket.c agent/http/http_socket.h

# netlink
agent_libmesh_a_SOURCES += \
	agent/netlink/nl.c agent/netlink/nl.h agent/netlink/nl_private.h \
	agent/netlink/nl_addr.c agent/netlink/nl_addr.h \
	agent/netlink/nl_attr.c agent/netlink/nl_attr.h \
	agent/netlink/nl_change.c agent/netlink/nl_change.h \
	agent/netlink/nl_driver.c agent/netlink/nl_driver.h \
	agent/netlink/nl_dummy.c agent/netlink/nl_dummy.h \
	agent/netlink/nl_link.c agent/netlink/nl_link.h \
	agent/netlink/nl_route.c agent/netlink/nl_route.h \
	agent/netlink/nl_serve.c agent/netlink/nl_serve.h \
	agent/netlink/nl_sock.c agent/netlink/nl_sock.h \
	agent/netlink/nl_sync.c agent/netlink/nl_sync.h \
	agent/netlink/sock_diag.c agent/netlink/sock_diag.h

# bpf
agent_libmesh_a_SOURCES += \
	agent/bpf/bpf_others.c agent/bpf/bpf_others.h \
	agent/bpf/bpf_prog_pins.c agent/bpf/bpf_prog_pins.h \
	agent/bpf/bpf_attach.c agent/bpf/bpf_attach.h agent/bpf/bpf_attach_cgroup.c agent/bpf/bpf_attach_netns.c \
	agent/bpf/bpf_call.c agent/bpf/bpf_call.h \
	agent/bpf/bpf_clsact.c agent/bpf/bpf_clsact.h \
	agent/bpf/bpf_config.c agent/bpf/bpf_config.h \
	agent/bpf/bpf_dir.c agent/bpf/bpf_dir.h \
	agent/bpf/bpf_events.c agent/bpf/bpf_events.h \
	agent/bpf/bpf_map.c agent/bpf/bpf_map.h \
	agent/bpf/bpf_load.c agent/bpf/bpf_obj.c agent/bpf/bpf_obj.h agent/bpf/bpf_private.h \
	agent/bpf/bpf_remote.c agent/bpf/bpf_remote.h \
	agent/bpf/bpf_serve.c agent/bpf/bpf_serve.h agent/bpf/bpf_wire.h

# kube
agent_libmesh_a_SOURCES += \
	agent/kube/kube_client.c agent/kube/kube_client.h agent/kube/refusal.h \
	agent/kube/list_doubt.c agent/kube/list_doubt.h \
	agent/kube/reflector.c agent/kube/reflector.h \
	agent/kube/decode_endpoint.c agent/kube/decode_endpoint.h \
	agent/kube/cilium_config.c agent/kube/cilium_config.h \
	agent/kube/cilium_fit.c agent/kube/cilium_fit.h \
	agent/kube/decode_node.c agent/kube/decode_node.h \
	agent/kube/decode_service.c agent/kube/decode_service.h \
	agent/kube/decode_slice.c agent/kube/decode_slice.h

agent_libmesh_a_SOURCES += \
	agent/kube/kubeconfig.c agent/kube/kubeconfig.h \
	agent/kube/kubeconfig_exec.c agent/kube/kubeconfig_exec.h \
	agent/kube/kube_object.c agent/kube/kube_object.h \
	agent/kube/yaml_json.c agent/kube/yaml_json.h

# store
agent_libmesh_a_SOURCES += \
	agent/store/endpoint_private.h agent/store/endpoint_slice.c \
	agent/store/endpoint_table.c agent/store/endpoint_table.h \
	agent/store/key_set.c agent/store/key_set.h \
	agent/store/node_table.c agent/store/node_table.h

# probe: health of the workloads of this host
agent_libmesh_a_SOURCES += \
	agent/probe/check.h \
	agent/probe/check_exec.c agent/probe/check_exec.h \
	agent/probe/check_tcp.c agent/probe/check_tcp.h \
	agent/probe/probe_state.c agent/probe/probe_state.h \
	agent/probe/probes.c agent/probe/probes.h \
	agent/probe/sample.c agent/probe/sample.h \
	agent/probe/units.c agent/probe/units.h

# forward: old ports of workloads that have moved
agent_libmesh_a_SOURCES += \
	agent/forward/forward.c agent/forward/forward.h \
	agent/forward/pump.c agent/forward/pump.h

# identity: ipcache
agent_libmesh_a_SOURCES += \
	agent/identity/ipcache.c agent/identity/ipcache.h \
	agent/identity/ipcache_node.c agent/identity/ipcache_private.h

# identity, policy
agent_libmesh_a_SOURCES += \
	agent/identity/identity.c agent/identity/identity.h \
	agent/identity/intern.c agent/identity/intern.h \
	agent/identity/labels.c agent/identity/labels.h \
	agent/identity/named_port.c agent/identity/named_port.h \
	agent/identity/node_labels.c agent/identity/node_labels.h \
	agent/identity/port_claims.c agent/identity/port_claims.h \
	agent/identity/selector.c agent/identity/selector.h \
	agent/policy/learned.c agent/policy/learned.h agent/policy/learned_private.h \
	agent/policy/learned_file.c \
	agent/policy/policy.c agent/policy/policy.h \
	agent/policy/policy_class.c agent/policy/policy_class.h \
	agent/policy/policy_dns.c agent/policy/policy_dns.h \
	agent/policy/policy_fqdn.c \
	agent/policy/guard.c agent/policy/guard.h \
	agent/policy/policy_gate.c agent/policy/policy_gate.h \
	agent/policy/policy_index.c agent/policy/policy_index.h \
	agent/policy/policy_local.c agent/policy/policy_local.h \
	agent/policy/policy_model.c agent/policy/policy_model.h \
	agent/policy/policy_near.c agent/policy/policy_near.h \
	agent/policy/policy_explain.c agent/policy/policy_explain.h \
	agent/policy/policy_options.c agent/policy/policy_options.h \
	agent/policy/policy_parse.c agent/policy/policy_parse.h \
	agent/policy/policy_parse_icmp.c \
	agent/policy/policy_parse_knp.c \
	agent/policy/policy_parse_peers.c \
	agent/policy/policy_parse_ports.c \
	agent/policy/policy_parse_selector.c \
	agent/policy/policy_prefix.c agent/policy/policy_prefix.h \
	agent/policy/policy_resolve.c agent/policy/policy_resolve.h \
	agent/policy/policy_rows.c agent/policy/policy_rows.h \
	agent/policy/policy_rule.c agent/policy/policy_rule.h \
	agent/policy/policy_selection.c agent/policy/policy_selection.h \
	agent/policy/policy_shadow.c agent/policy/policy_shadow.h \
	agent/policy/policy_status.c \
	agent/policy/policy_table.h \
	agent/policy/policy_trace.c agent/policy/policy_trace.h \
	agent/policy/policy_collect.c agent/policy/policy_lookup.c \
	agent/policy/policy_verdict.c agent/policy/policy_verdict.h

# service
agent_libmesh_a_SOURCES += \
	agent/service/addr_index.c agent/service/addr_index.h \
	agent/service/candidates.c agent/service/candidates.h \
	agent/service/id_table.c agent/service/id_table.h \
	agent/service/migration.c agent/service/migration.h \
	agent/service/migration_backends.c agent/service/migration_backends.h \
	agent/service/migration_json.c \
	agent/service/migration_plan.c agent/service/migration_plan.h \
	agent/service/migration_samples.c agent/service/migration_samples.h \
	agent/service/node_match.c agent/service/node_match.h \
	agent/service/serve.c agent/service/serve.h agent/service/serve_private.h \
	agent/service/serve_same.c \
	agent/service/service.c agent/service/service.h \
	agent/service/service_flush.c agent/service/service_private.h \
	agent/service/service_options.c agent/service/service_options.h \
	agent/service/service_policy.c agent/service/service_policy.h \
	agent/service/service_select.c agent/service/service_select.h

# dns
agent_libmesh_a_SOURCES += \
	agent/dns/dns_answer.c agent/dns/dns_answer.h \
	agent/dns/dns_cache.c agent/dns/dns_cache.h \
	agent/dns/dns_case.c agent/dns/dns_case.h \
	agent/dns/dns_compress.c agent/dns/dns_compress.h \
	agent/dns/dns_explain.c \
	agent/dns/dns_flight.c \
	agent/dns/dns_forward.c agent/dns/dns_forward.h agent/dns/dns_forward_private.h \
	agent/dns/dns_gate.h \
	agent/dns/dns_hold.c \
	agent/dns/dns_msg.c agent/dns/dns_msg.h agent/dns/dns_name.c agent/dns/dns_write.c \
	agent/dns/dns_provider.h \
	agent/dns/dns_response.c agent/dns/dns_response.h \
	agent/dns/dns_handle.c agent/dns/dns_server.c agent/dns/dns_server.h agent/dns/dns_server_private.h \
	agent/dns/dns_sock.c agent/dns/dns_sock.h \
	agent/dns/dns_text.c agent/dns/dns_text.h agent/dns/dns_trace.c \
	agent/dns/dns_tcp.c agent/dns/dns_udp.c \
	agent/dns/dns_zone.c agent/dns/dns_zone.h agent/dns/dns_zone_private.h \
	agent/dns/dns_zone_explain.c agent/dns/dns_zone_service.c

# plan
agent_libmesh_a_SOURCES += \
	agent/plan/plan_policy.c agent/plan/plan_policy.h \
	agent/plan/plan_service.c agent/plan/plan_service.h

# recon
agent_libmesh_a_SOURCES += \
	agent/recon/ct_walk.c agent/recon/ct_walk.h \
	agent/recon/map_batch.c agent/recon/map_batch.h \
	agent/recon/recon_addr.c agent/recon/recon_addr.h \
	agent/recon/recon_cover.c agent/recon/recon_cover.h agent/recon/recon_flows.c agent/recon/recon_flows.h \
	agent/recon/recon_policy.c agent/recon/recon_policy.h agent/recon/recon_policy_internal.h \
	agent/recon/recon_policy_bank.c agent/recon/recon_policy_class.c agent/recon/recon_policy_prefix.c \
	agent/recon/recon_service.c agent/recon/recon_service.h \
	agent/recon/recon_service_internal.h agent/recon/recon_service_queue.c \
	agent/recon/recon_sock.c agent/recon/recon_sock.h \
	agent/recon/recon_snapshot.c agent/recon/recon_snapshot.h \
	agent/recon/recon_net.c agent/recon/recon_net.h agent/recon/recon_net_internal.h \
	agent/recon/recon_net_links.c agent/recon/recon_net_routes.c agent/recon/recon_net_tunnel.c \
	agent/recon/recon_nic.c agent/recon/recon_nic.h \
	agent/recon/recon_route.c agent/recon/recon_route.h \
	agent/recon/snapshot.c agent/recon/snapshot.h

# join
agent_libmesh_a_SOURCES += \
	agent/join/address_check.c agent/join/address_check.h \
	agent/join/checksum.c agent/join/checksum.h \
	agent/join/cluster_check.c agent/join/cluster_check.h \
	agent/join/cluster_info.c agent/join/cluster_info.h \
	agent/join/enrol.c agent/join/enrol.h \
	agent/join/enrol_current.c agent/join/enrol_current.h \
	agent/join/enrol_identity.c agent/join/enrol_identity.h \
	agent/join/enrol_list.c \
	agent/join/enrol_objects.c agent/join/enrol_objects.h \
	agent/join/enrol_remove.c \
	agent/join/guard_file.c agent/join/guard_file.h \
	agent/join/join.c agent/join/join.h \
	agent/join/join_state.c agent/join/join_state.h \
	agent/join/state_file.c agent/join/state_file.h \
	agent/join/join_token.c agent/join/join_token.h \
	agent/join/label_check.c agent/join/label_check.h \
	agent/join/publish.c agent/join/publish.h agent/join/publish_private.h \
	agent/join/publish_sync.c \
	agent/join/serve_rules.c agent/join/serve_rules.h \
	agent/join/service_events.c agent/join/service_events.h \
	agent/join/manifests.c agent/join/manifests.h \
	agent/join/names.h
nodist_agent_libmesh_a_SOURCES = agent/join/manifests_data.c
CLEANFILES += agent/join/manifests_data.c
MESH_MANIFESTS = packaging/kubernetes/10-base.yaml packaging/kubernetes/20-admission.yaml
kubernetesdir = $(pkgdatadir)/kubernetes
dist_kubernetes_DATA = $(MESH_MANIFESTS)
EXTRA_DIST += packaging/kubernetes/README.md

# The manifests as one string, so that `meshctl cluster setup` needs no files.
agent/join/manifests_data.c: $(MESH_MANIFESTS)
	$(AM_V_GEN)$(MKDIR_P) agent/join && { \
		echo 'extern const char manifests_data[]; const char manifests_data[] ='; \
		first=yes; \
		for f in $(MESH_MANIFESTS); do \
			test $$first = yes || echo '"---\n"'; first=no; \
			$(SED) -e 's/[\\"]/\\&/g' -e 's/^/"/' -e 's/$$/\\n"/' $(top_srcdir)/$$f || exit 1; \
		done; \
		echo ';'; } > $@.tmp && mv $@.tmp $@

# join: the daemon's side
agent_libmesh_a_SOURCES += \
	agent/join/lease.c agent/join/lease.h \
	agent/join/register.c agent/join/register.h \
	agent/join/renew.c agent/join/renew.h

# ctl
agent_libmesh_a_SOURCES += \
	agent/ctl/ctl_client.c agent/ctl/ctl_client.h \
	agent/ctl/ctl_conn.c agent/ctl/ctl_conn.h \
	agent/ctl/ctl_proto.h \
	agent/ctl/ctl_listen.c agent/ctl/ctl_listen.h \
	agent/ctl/ctl_server.c agent/ctl/ctl_server.h \
	agent/ctl/ctl_verbs.h

# agentd
agent_libmesh_a_SOURCES += \
	agent/agentd/agent.c agent/agentd/agent.h \
	agent/agentd/apply.c agent/agentd/apply.h \
	agent/agentd/boot.c agent/agentd/boot.h \
	agent/agentd/datapath.c agent/agentd/datapath.h agent/agentd/datapath_private.h \
	agent/agentd/datapath_apply.c agent/agentd/datapath_boot.c \
	agent/agentd/failsafe.c agent/agentd/failsafe.h \
	agent/agentd/forwarding.c agent/agentd/forwarding.h \
	agent/agentd/fqdn.c agent/agentd/fqdn.h \
	agent/agentd/fqdn_server.c agent/agentd/fqdn_server.h \
	agent/agentd/filling.c agent/agentd/filling.h \
	agent/agentd/guarding.c agent/agentd/guarding.h \
	agent/agentd/health.c agent/agentd/health.h \
	agent/agentd/keeping.c agent/agentd/keeping.h \
	agent/agentd/last_conf.c agent/agentd/last_conf.h \
	agent/agentd/membership.c agent/agentd/membership.h \
	agent/agentd/migrating.c agent/agentd/migrating.h \
	agent/agentd/migrating_hand.c agent/agentd/migrating_private.h agent/agentd/migrating_store.c \
	agent/agentd/migrating_watch.c agent/agentd/migrating_watch.h \
	agent/agentd/names.c \
	agent/agentd/own_address.c agent/agentd/own_address.h \
	agent/agentd/own_labels.c agent/agentd/own_labels.h \
	agent/agentd/privileged.c agent/agentd/privileged.h \
	agent/agentd/resolv_conf.c agent/agentd/resolv_conf.h \
	agent/agentd/servers.c agent/agentd/servers.h \
	agent/agentd/serving.c agent/agentd/serving.h \
	agent/agentd/shadowing.c agent/agentd/shadowing.h \
	agent/agentd/slicing.c agent/agentd/slicing.h \
	agent/agentd/stand_down.c agent/agentd/stand_down.h \
	agent/agentd/sync.c agent/agentd/sync.h agent/agentd/sync_private.h \
	agent/agentd/sync_endpoint.c \
	agent/agentd/sync_identity.c \
	agent/agentd/sync_keyed.c \
	agent/agentd/tunnel_watch.c agent/agentd/tunnel_watch.h \
	agent/agentd/view.c \
	agent/agentd/dns_redirect.c agent/agentd/dns_redirect.h \
	agent/agentd/resolved.c agent/agentd/resolved.h \
	agent/agentd/resolver.c agent/agentd/resolver.h \
	agent/agentd/resolver_delegate.c agent/agentd/resolver_delegate.h \
	agent/agentd/resolver_domains.c agent/agentd/resolver_domains.h \
	agent/agentd/resolver_file.c agent/agentd/resolver_file.h \
	agent/agentd/resolver_host.c agent/agentd/resolver_host.h \
	agent/agentd/resolver_lock.c agent/agentd/resolver_lock.h \
	agent/agentd/resolver_nm.c agent/agentd/resolver_nm.h \
	agent/agentd/resolver_program.c agent/agentd/resolver_program.h \
	agent/agentd/resolver_wire.c agent/agentd/resolver_wire.h \
	agent/agentd/dns_wiring.c agent/agentd/dns_wiring.h \
	agent/agentd/fqdn_others.c agent/agentd/fqdn_others.h \
	agent/agentd/view_address.c \
	agent/agentd/view_dns.c \
	agent/agentd/view_forward.c \
	agent/agentd/view_identity.c \
	agent/agentd/view_migrate.c \
	agent/agentd/view_monitor.c \
	agent/agentd/view_policy.c \
	agent/agentd/view_service.c \
	agent/agentd/view_shadow.c agent/agentd/view_shadow.h \
	agent/agentd/view_status.c \
	agent/agentd/view.h \
	agent/agentd/world.c agent/agentd/world.h agent/agentd/world_private.h \
	agent/agentd/world_apiserver.c \
	agent/agentd/world_routes.c

# cli
agent_libmesh_a_SOURCES += \
	agent/cli/admin.c agent/cli/admin.h \
	agent/cli/cmd_cluster.c agent/cli/cmd_host.c \
	agent/cli/token_read.c agent/cli/token_read.h \
	agent/cli/preflight.c agent/cli/preflight.h agent/cli/preflight_kernel.c \
	agent/cli/cli_call.c agent/cli/cli_call.h \
	agent/cli/cmd.c agent/cli/cmd.h \
	agent/cli/cmd_bugreport.c \
	agent/cli/cmd_completion.c \
	agent/cli/cmd_config.c \
	agent/cli/cmd_dns.c agent/cli/dns_ask.c agent/cli/dns_ask.h \
	agent/cli/resolver_test.c agent/cli/resolver_test.h \
	agent/cli/cmd_endpoint.c \
	agent/cli/cmd_identity.c \
	agent/cli/cmd_ipcache.c \
	agent/cli/cmd_drain.c \
	agent/cli/cmd_forward.c \
	agent/cli/cmd_leave.c \
	agent/cli/cmd_map.c \
	agent/cli/cmd_migrate.c agent/cli/migrate_follow.c agent/cli/migrate_follow.h agent/cli/migrate_text.c agent/cli/migrate_text.h \
	agent/cli/cmd_monitor.c \
	agent/cli/cmd_node.c \
	agent/cli/cmd_policy.c agent/cli/cmd_policy.h \
	agent/cli/cmd_policy_guard.c \
	agent/cli/cmd_policy_shadow.c \
	agent/cli/cmd_policy_verdict.c \
	agent/cli/cmd_policy_why.c \
	agent/cli/cmd_service.c \
	agent/cli/cmd_status.c \
	agent/cli/monitor_line.c agent/cli/monitor_line.h \
	agent/cli/out.c agent/cli/out.h \
	agent/cli/out_wrap.c agent/cli/out_wrap.h \
	agent/cli/redact.c agent/cli/redact.h \
	agent/cli/ssh_ports.c agent/cli/ssh_ports.h \
	agent/cli/tar.c agent/cli/tar.h \
	agent/cli/verdict_labels.c agent/cli/verdict_labels.h \
	agent/cli/verdict_objects.c agent/cli/verdict_objects.h

MESH_LIBS = agent/libmesh.a $(LIBBPF_LIBS) $(CURL_LIBS) $(CRYPTO_LIBS) $(SYSTEMD_LIBS) $(LIBCONFIG_LIBS) \
	$(JANSSON_LIBS) $(YAML_LIBS) $(MNL_LIBS) $(SMARTCOLS_LIBS) $(LDNS_LIBS)

# programs
sbin_PROGRAMS += mesh-agentd
mesh_agentd_SOURCES = agent/agentd/main.c
mesh_agentd_LDADD = $(MESH_LIBS)

bin_PROGRAMS += meshctl
meshctl_SOURCES = agent/cli/meshctl.c
meshctl_LDADD = $(MESH_LIBS)

sbin_PROGRAMS += mesh-join
mesh_join_SOURCES = agent/cli/mesh_join.c
mesh_join_LDADD = $(MESH_LIBS)
