# Suites: check (no root, no network), check-system (root), check-cluster (the real peers), check-vm.

dist_check_SCRIPTS =
SYSTEM_TESTS =
SYSTEM_STORIES =
EXTRA_PROGRAMS =

# what a build leaves out is one skipped test, not silence
dist_check_SCRIPTS += tests/unit/without_criterion.sh tests/unit/without_microhttpd.sh
if !HAVE_CRITERION
TESTS += tests/unit/without_criterion.sh
endif
if !HAVE_MICROHTTPD
TESTS += tests/unit/without_microhttpd.sh
endif

# lib
result_sources = tests/lib/result.c tests/lib/result.h
damage_sources = tests/lib/damage.c tests/lib/damage.h $(result_sources)
if HAVE_MICROHTTPD
noinst_PROGRAMS += tests/lib/mesh-test-apiserver
tests_lib_mesh_test_apiserver_SOURCES = \
	tests/lib/apiserver_admin.c \
	tests/lib/apiserver_auth.c tests/lib/apiserver_auth.h \
	tests/lib/apiserver_defaults.c tests/lib/apiserver_defaults.h \
	tests/lib/apiserver_discovery.c \
	tests/lib/apiserver_faults.c tests/lib/apiserver_faults.h \
	tests/lib/apiserver_gc.c \
	tests/lib/apiserver_gzip.c tests/lib/apiserver_gzip.h \
	tests/lib/apiserver_http.c tests/lib/apiserver_server.h \
	tests/lib/apiserver_keys.c tests/lib/apiserver_keys.h \
	tests/lib/apiserver_kind.c tests/lib/apiserver_kind.h \
	tests/lib/apiserver_list.c tests/lib/apiserver_list.h \
	tests/lib/apiserver_main.c \
	tests/lib/apiserver_manifest.c \
	tests/lib/apiserver_patch.c tests/lib/apiserver_patch.h \
	tests/lib/apiserver_rbac.c tests/lib/apiserver_rbac.h \
	tests/lib/apiserver_rest.c \
	tests/lib/apiserver_review.c \
	tests/lib/apiserver_route.c \
	tests/lib/apiserver_selector.c tests/lib/apiserver_selector.h \
	tests/lib/apiserver_status.c tests/lib/apiserver_status.h \
	tests/lib/apiserver_store.c tests/lib/apiserver_store.h \
	tests/lib/apiserver_util.c tests/lib/apiserver_util.h \
	tests/lib/apiserver_watch.c
tests_lib_mesh_test_apiserver_CFLAGS = $(AM_CFLAGS) $(MICROHTTPD_CFLAGS)
tests_lib_mesh_test_apiserver_LDADD = $(MESH_LIBS) $(MICROHTTPD_LIBS)

# what test programs use to run it: add $(APISERVER_LIB) to their LDADD and -I$(top_srcdir)/tests/lib
noinst_LIBRARIES += tests/lib/libapiserver.a
tests_lib_libapiserver_a_SOURCES = tests/lib/apiserver.c tests/lib/apiserver_client.c tests/lib/apiserver.h \
	tests/lib/apiserver_util.c
APISERVER_LIB = tests/lib/libapiserver.a

if HAVE_CRITERION
check_PROGRAMS += tests/unit/lib/test_apiserver
TESTS += tests/unit/lib/test_apiserver
tests_unit_lib_test_apiserver_SOURCES = tests/unit/lib/test_apiserver.c tests/unit/lib/test_apiserver_auth.c tests/unit/lib/test_gzip.c \
	tests/unit/lib/test_apiserver_faults.c tests/unit/lib/helpers.c tests/unit/lib/helpers.h \
	tests/lib/apiserver_gzip.c tests/lib/apiserver_gzip.h tests/lib/apiserver_util.c tests/lib/apiserver_util.h
tests_unit_lib_test_apiserver_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib
tests_unit_lib_test_apiserver_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_lib_test_apiserver_LDADD = $(APISERVER_LIB) $(MESH_LIBS) $(CRITERION_LIBS)
endif
endif

# unit: base
if HAVE_CRITERION
check_PROGRAMS += tests/unit/base/test_base
TESTS += tests/unit/base/test_base
tests_unit_base_test_base_SOURCES = tests/lib/no_fsync.h \
	tests/unit/base/test_collections.c \
	tests/unit/base/test_file.c \
	tests/unit/base/test_ip.c \
	tests/unit/base/test_text.c
tests_unit_base_test_base_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_base_test_base_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
endif

# unit: event, http, kube, store
if HAVE_CRITERION
check_PROGRAMS += tests/unit/event/test_retry
TESTS += tests/unit/event/test_retry
tests_unit_event_test_retry_SOURCES = tests/unit/event/test_retry.c
tests_unit_event_test_retry_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_event_test_retry_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/http/test_http
TESTS += tests/unit/http/test_http
tests_unit_http_test_http_SOURCES = tests/unit/http/test_head.c tests/unit/http/test_socket.c tests/unit/http/test_tls.c $(result_sources)
tests_unit_http_test_http_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_http_test_http_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_http_test_http_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/json/test_json
TESTS += tests/unit/json/test_json
tests_unit_json_test_json_SOURCES = tests/unit/json/test_doc.c tests/unit/json/test_json.c tests/unit/json/test_scan.c \
	tests/unit/json/test_stream.c
tests_unit_json_test_json_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_json_test_json_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/kube/test_kube
TESTS += tests/unit/kube/test_kube
tests_unit_kube_test_kube_SOURCES = tests/unit/kube/test_cilium_config.c \
	tests/unit/kube/test_decode.c
tests_unit_kube_test_kube_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_kube_test_kube_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/store/test_store
TESTS += tests/unit/store/test_store
tests_unit_store_test_store_SOURCES = tests/unit/store/test_endpoint_table.c \
	tests/unit/store/test_sets.c
tests_unit_store_test_store_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_store_test_store_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/probe/test_probe
TESTS += tests/unit/probe/test_probe
tests_unit_probe_test_probe_SOURCES = tests/unit/probe/test_probes.c tests/unit/probe/test_sample.c tests/unit/probe/test_state.c \
	tests/lib/fake_bus.c tests/lib/fake_bus.h tests/lib/fake_systemd.c tests/lib/fake_systemd.h
tests_unit_probe_test_probe_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib
tests_unit_probe_test_probe_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_probe_test_probe_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/forward/test_forward
TESTS += tests/unit/forward/test_forward
tests_unit_forward_test_forward_SOURCES = tests/unit/forward/test_forward.c
tests_unit_forward_test_forward_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_forward_test_forward_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/identity/test_ipcache
TESTS += tests/unit/identity/test_ipcache
tests_unit_identity_test_ipcache_SOURCES = tests/unit/identity/test_ipcache.c
tests_unit_identity_test_ipcache_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_identity_test_ipcache_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
if HAVE_MICROHTTPD
check_PROGRAMS += tests/unit/kube/test_reflector
TESTS += tests/unit/kube/test_reflector
tests_unit_kube_test_reflector_SOURCES = tests/unit/kube/test_reflector.c tests/unit/kube/reflector_copy.c tests/unit/kube/reflector_copy.h \
	tests/unit/kube/test_kube_client.c \
	tests/unit/lib/helpers.c \
	tests/unit/lib/helpers.h
tests_unit_kube_test_reflector_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib
tests_unit_kube_test_reflector_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_kube_test_reflector_LDADD = $(APISERVER_LIB) $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/join/test_register
TESTS += tests/unit/join/test_register
tests_unit_join_test_register_SOURCES = tests/unit/join/test_register.c \
	tests/unit/join/test_lease.c \
	tests/unit/join/test_renew.c \
	tests/unit/lib/helpers.c \
	tests/unit/lib/helpers.h
tests_unit_join_test_register_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib
tests_unit_join_test_register_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_join_test_register_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=clock_wall_s -Wl,--wrap=clock_wall_us
tests_unit_join_test_register_LDADD = $(APISERVER_LIB) $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/join/test_cluster
TESTS += tests/unit/join/test_cluster
tests_unit_join_test_cluster_SOURCES = tests/unit/join/cluster.c tests/unit/join/cluster.h \
	tests/unit/join/test_enrol_cluster.c tests/unit/join/test_join_cluster.c \
	tests/unit/lib/helpers.c \
	tests/unit/lib/helpers.h $(result_sources)
tests_unit_join_test_cluster_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests -I$(top_srcdir)/tests/lib
tests_unit_join_test_cluster_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_join_test_cluster_LDADD = $(APISERVER_LIB) $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/agentd/test_membership
TESTS += tests/unit/agentd/test_membership
tests_unit_agentd_test_membership_SOURCES = tests/lib/ignoring.h tests/unit/agentd/test_sync.c \
	tests/unit/agentd/test_membership.c \
	tests/unit/lib/helpers.c \
	tests/unit/lib/helpers.h
tests_unit_agentd_test_membership_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib
tests_unit_agentd_test_membership_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_agentd_test_membership_LDFLAGS = -Wl,--wrap=reallocarray -Wl,--wrap=kube_client_refused_us -Wl,--wrap=renewal_expires_s \
	-Wl,--wrap=datapath_remove
tests_unit_agentd_test_membership_LDADD = $(APISERVER_LIB) $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/join/test_publish
TESTS += tests/unit/join/test_publish
tests_unit_join_test_publish_SOURCES = tests/unit/join/test_publish.c \
	tests/unit/lib/helpers.c \
	tests/unit/lib/helpers.h
tests_unit_join_test_publish_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib
tests_unit_join_test_publish_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_join_test_publish_LDADD = $(APISERVER_LIB) $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/join/test_service_events
TESTS += tests/unit/join/test_service_events
tests_unit_join_test_service_events_SOURCES = tests/unit/join/test_service_events.c \
	tests/unit/lib/helpers.c \
	tests/unit/lib/helpers.h
tests_unit_join_test_service_events_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib
tests_unit_join_test_service_events_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_join_test_service_events_LDADD = $(APISERVER_LIB) $(MESH_LIBS) $(CRITERION_LIBS)
endif
endif

# sim: the reflectors and tables in simulated time, against a model; sim -n 1000000 runs for long
check_PROGRAMS += tests/sim/sim
TESTS += tests/sim/sim
tests_sim_sim_SOURCES = tests/sim/env.c tests/sim/host.c tests/sim/model.c tests/sim/objects.c tests/sim/server.c \
	tests/sim/sim.h tests/sim/sim_main.c tests/sim/wire.c $(result_sources)
tests_sim_sim_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_sim_sim_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=clock_boot_us -Wl,--wrap=rng_bytes -Wl,--wrap=rng_below \
	-Wl,--wrap=loop_add_timer -Wl,--wrap=source_arm -Wl,--wrap=source_disarm -Wl,--wrap=source_free \
	-Wl,--wrap=kube_start -Wl,--wrap=kube_cancel -Wl,--wrap=kube_give_up -Wl,--wrap=kube_bulk_over \
	-Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc \
	-Wl,--wrap=reallocarray -Wl,--wrap=strdup -Wl,--wrap=strndup
tests_sim_sim_LDADD = $(MESH_LIBS)

# churn: no memory is kept, however many events there were
check_PROGRAMS += tests/sim/churn
TESTS += tests/sim/churn
steady_sources = tests/lib/ignoring.h tests/sim/env.c tests/sim/objects.c tests/sim/sim.h tests/sim/steady.c tests/sim/steady.h $(result_sources)
tests_sim_churn_SOURCES = tests/sim/churn.c $(steady_sources)
tests_sim_churn_CPPFLAGS = $(tests_sim_sim_CPPFLAGS)
tests_sim_churn_LDFLAGS = $(tests_sim_sim_LDFLAGS)
tests_sim_churn_LDADD = $(MESH_LIBS)

# hostile: objects made to do harm hurt no other
check_PROGRAMS += tests/sim/hostile
TESTS += tests/sim/hostile
tests_sim_hostile_SOURCES = tests/sim/hostile.c $(steady_sources)
tests_sim_hostile_CPPFLAGS = $(tests_sim_sim_CPPFLAGS)
tests_sim_hostile_LDFLAGS = $(tests_sim_sim_LDFLAGS)
tests_sim_hostile_LDADD = $(MESH_LIBS)

# unit: identity, policy
if HAVE_CRITERION
check_PROGRAMS += tests/unit/identity/identity_tests tests/unit/policy/policy_tests
TESTS += tests/unit/identity/identity_tests tests/unit/policy/policy_tests
tests_unit_identity_identity_tests_SOURCES = \
	tests/unit/identity/test_identity.c tests/unit/identity/test_labels.c tests/unit/identity/test_port_claims.c
tests_unit_identity_identity_tests_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_identity_identity_tests_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
tests_unit_policy_policy_tests_SOURCES = \
	tests/unit/policy/fixture.c tests/unit/policy/fixture.h \
	tests/unit/policy/random_set.c tests/unit/policy/random_set.h \
	tests/unit/policy/cases.c tests/unit/policy/cases.h \
	tests/unit/policy/test_cases.c tests/unit/policy/test_class.c tests/unit/policy/test_dns.c tests/unit/policy/test_guard.c \
	tests/unit/policy/test_hostile.c tests/unit/policy/test_learned.c tests/unit/policy/test_random.c \
	tests/unit/policy/test_shadow.c tests/unit/policy/test_table.c $(damage_sources)
tests_unit_policy_policy_tests_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests -I$(srcdir)/tests/unit/policy $(CRITERION_CFLAGS)
tests_unit_policy_policy_tests_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
EXTRA_DIST += tests/data/policy-cases.yaml tests/data/policy-paragraphs.yaml
endif
bench_stats = tests/bench/stats.c tests/bench/stats.h
EXTRA_DIST += tests/bench/policy_instructions.sh
check_PROGRAMS += tests/bench/bench_policy
tests_bench_bench_policy_SOURCES = tests/bench/bench_policy.c $(bench_stats) $(bpf_test_common)
tests_bench_bench_policy_CPPFLAGS = $(bpf_test_cppflags)
tests_bench_bench_policy_LDADD = $(MESH_LIBS) -lm

# unit: service, dns
noinst_PROGRAMS += tests/bench/bench_dns tests/bench/bench_service
tests_bench_bench_service_SOURCES = tests/bench/bench_service.c
tests_bench_bench_service_LDADD = $(MESH_LIBS)
tests_bench_bench_dns_SOURCES = tests/bench/bench_dns.c
tests_bench_bench_dns_LDADD = $(MESH_LIBS)
EXTRA_DIST += tests/bench/dns.sh tests/data/dns/objects.json tests/data/dns/cases.json \
	tests/data/service/backends.json
if HAVE_CRITERION
check_PROGRAMS += tests/unit/service/test_service
TESTS += tests/unit/service/test_service
tests_unit_service_test_service_SOURCES = tests/unit/service/objects.c tests/unit/service/objects.h \
	tests/unit/service/test_decode.c tests/unit/service/test_migration.c tests/unit/service/test_migration_backends.c tests/unit/service/test_migration_plan.c \
	tests/unit/service/test_node_match.c tests/unit/service/test_policy.c tests/unit/service/test_select.c tests/unit/service/test_serve.c \
	tests/unit/service/test_table.c
tests_unit_service_test_service_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_service_test_service_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/dns/test_dns
TESTS += tests/unit/dns/test_dns
tests_unit_dns_test_dns_SOURCES = tests/unit/dns/fixture.c tests/unit/dns/fixture.h tests/unit/dns/test_case.c \
	tests/unit/dns/test_forged.c tests/unit/dns/test_gate.c tests/unit/dns/test_msg.c tests/unit/dns/test_server.c \
	tests/unit/dns/test_text.c tests/unit/dns/test_zone.c tests/unit/dns/upstream.c tests/unit/dns/upstream.h $(result_sources)
tests_unit_dns_test_dns_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_dns_test_dns_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_dns_test_dns_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
endif

# unit: priv, netlink, bpf, plan, recon
if HAVE_CRITERION
check_PROGRAMS += tests/unit/plan/test_plan
TESTS += tests/unit/plan/test_plan
tests_unit_plan_test_plan_SOURCES = tests/unit/plan/test_plan.c
tests_unit_plan_test_plan_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_plan_test_plan_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
endif
if HAVE_CRITERION
check_PROGRAMS += tests/unit/priv/test_priv
TESTS += tests/unit/priv/test_priv
tests_unit_priv_test_priv_SOURCES = tests/unit/priv/test_priv.c $(result_sources)
tests_unit_priv_test_priv_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_priv_test_priv_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_priv_test_priv_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
endif
if HAVE_CRITERION
check_PROGRAMS += tests/unit/netlink/test_netlink
TESTS += tests/unit/netlink/test_netlink
tests_unit_netlink_test_netlink_SOURCES = tests/unit/netlink/test_netlink.c tests/unit/netlink/test_recon_net.c \
	tests/unit/netlink/test_sock_diag.c
tests_unit_netlink_test_netlink_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_netlink_test_netlink_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
endif

# unit: join, ctl, cli
if HAVE_CRITERION
check_PROGRAMS += tests/unit/crypto/test_crypto tests/unit/join/test_join
TESTS += tests/unit/crypto/test_crypto tests/unit/join/test_join
tests_unit_crypto_test_crypto_SOURCES = tests/unit/crypto/certs.h \
	tests/unit/crypto/test_base64.c tests/unit/crypto/test_jwt.c tests/unit/crypto/test_x509.c
tests_unit_crypto_test_crypto_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit/crypto $(CRITERION_CFLAGS)
tests_unit_crypto_test_crypto_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
tests_unit_join_test_join_SOURCES = tests/lib/no_fsync.h tests/unit/crypto/certs.h \
	tests/unit/join/test_cluster_check.c tests/unit/join/test_enrol.c tests/unit/join/test_guard_file.c tests/unit/join/test_join_state.c tests/unit/join/test_join_token.c \
	tests/unit/join/test_kubeconfig.c tests/unit/join/test_label_check.c tests/unit/join/test_yaml_json.c $(damage_sources)
tests_unit_join_test_join_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests -I$(srcdir)/tests/unit/join $(CRITERION_CFLAGS)
tests_unit_join_test_join_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
endif
noinst_PROGRAMS += tests/cluster/enrol_daemon
tests_cluster_enrol_daemon_SOURCES = tests/cluster/enrol_daemon.c
tests_cluster_enrol_daemon_LDADD = $(MESH_LIBS)
EXTRA_DIST += tests/cluster/attack.cases tests/cluster/attack.sh tests/cluster/attack_lab.sh tests/cluster/enrol.sh
check_PROGRAMS += tests/unit/cli/fake_daemon tests/unit/cli/verdict_cases
tests_unit_cli_verdict_cases_SOURCES = tests/unit/cli/verdict_cases.c
tests_unit_cli_verdict_cases_LDADD = $(MESH_LIBS)
tests_unit_cli_fake_daemon_SOURCES = tests/unit/cli/fake_daemon.c
tests_unit_cli_fake_daemon_LDADD = $(MESH_LIBS)
dist_check_SCRIPTS += tests/unit/cli/meshctl.sh tests/unit/cli/man.sh tests/unit/cli/verdict.sh
EXTRA_DIST += tests/unit/cli/data/fixture.json
TESTS += tests/unit/cli/meshctl.sh tests/unit/cli/man.sh tests/unit/cli/man_lint.sh tests/unit/cli/verdict.sh
dist_check_SCRIPTS += tests/unit/cli/man_lint.sh tests/unit/cli/mesh_join.sh
if HAVE_MICROHTTPD
TESTS += tests/unit/cli/mesh_join.sh
endif
if HAVE_CRITERION
check_PROGRAMS += tests/unit/conf/test_conf tests/unit/ctl/test_ctl tests/unit/cli/test_cli
TESTS += tests/unit/conf/test_conf tests/unit/ctl/test_ctl tests/unit/cli/test_cli
tests_unit_conf_test_conf_SOURCES = tests/unit/conf/test_conf.c
tests_unit_conf_test_conf_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_conf_test_conf_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
tests_unit_ctl_test_ctl_SOURCES = tests/unit/ctl/test_ctl.c
tests_unit_ctl_test_ctl_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_ctl_test_ctl_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
tests_unit_cli_test_cli_SOURCES = tests/unit/cli/test_cli.c tests/unit/cli/test_dns_ask.c
tests_unit_cli_test_cli_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_cli_test_cli_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/agentd/test_resolved
TESTS += tests/unit/agentd/test_resolved
tests_unit_agentd_test_resolved_SOURCES = tests/unit/agentd/test_resolved.c \
	tests/lib/fake_bus.c tests/lib/fake_bus.h tests/lib/fake_resolved.c tests/lib/fake_resolved.h
tests_unit_agentd_test_resolved_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib
tests_unit_agentd_test_resolved_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_agentd_test_resolved_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/agentd/test_resolver_file
TESTS += tests/unit/agentd/test_resolver_file
tests_unit_agentd_test_resolver_file_SOURCES = tests/unit/agentd/test_resolver_file.c
tests_unit_agentd_test_resolver_file_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_agentd_test_resolver_file_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/agentd/test_resolver_lock
TESTS += tests/unit/agentd/test_resolver_lock
tests_unit_agentd_test_resolver_lock_SOURCES = tests/unit/agentd/test_resolver_lock.c
tests_unit_agentd_test_resolver_lock_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_agentd_test_resolver_lock_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/agentd/test_resolver
TESTS += tests/unit/agentd/test_resolver
tests_unit_agentd_test_resolver_SOURCES = tests/unit/agentd/test_resolver.c
tests_unit_agentd_test_resolver_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_agentd_test_resolver_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/agentd/test_resolver_host
TESTS += tests/unit/agentd/test_resolver_host
tests_unit_agentd_test_resolver_host_SOURCES = tests/unit/agentd/test_resolver_host.c
tests_unit_agentd_test_resolver_host_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_agentd_test_resolver_host_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/agentd/test_dns_wiring tests/unit/agentd/test_own_address tests/unit/agentd/test_own_labels \
	tests/unit/agentd/test_servers tests/unit/agentd/test_tunnel_watch tests/unit/agentd/test_world
TESTS += tests/unit/agentd/test_dns_wiring tests/unit/agentd/test_own_address tests/unit/agentd/test_own_labels \
	tests/unit/agentd/test_servers tests/unit/agentd/test_tunnel_watch tests/unit/agentd/test_world
tests_unit_agentd_test_dns_wiring_SOURCES = tests/unit/agentd/test_dns_wiring.c
tests_unit_agentd_test_dns_wiring_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_agentd_test_dns_wiring_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
tests_unit_agentd_test_servers_SOURCES = tests/unit/agentd/test_servers.c
tests_unit_agentd_test_servers_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_agentd_test_servers_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
tests_unit_agentd_test_own_address_SOURCES = tests/unit/agentd/test_own_address.c
tests_unit_agentd_test_own_address_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_agentd_test_own_address_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
tests_unit_agentd_test_own_labels_SOURCES = tests/unit/agentd/test_own_labels.c
tests_unit_agentd_test_own_labels_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_agentd_test_own_labels_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
tests_unit_agentd_test_tunnel_watch_SOURCES = tests/unit/agentd/test_tunnel_watch.c
tests_unit_agentd_test_tunnel_watch_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_agentd_test_tunnel_watch_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
tests_unit_agentd_test_world_SOURCES = tests/unit/agentd/test_world.c tests/unit/agentd/told.c tests/unit/agentd/told.h
tests_unit_agentd_test_world_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_agentd_test_world_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=realloc
tests_unit_agentd_test_world_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/recon/test_snapshot
TESTS += tests/unit/recon/test_snapshot
tests_unit_recon_test_snapshot_SOURCES = tests/unit/recon/test_snapshot.c $(damage_sources)
tests_unit_recon_test_snapshot_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_recon_test_snapshot_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_recon_test_snapshot_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/agentd/test_view_policy
TESTS += tests/unit/agentd/test_view_policy
tests_unit_agentd_test_view_policy_SOURCES = tests/unit/agentd/test_view_policy.c
tests_unit_agentd_test_view_policy_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_agentd_test_view_policy_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
endif

# unit: the pure code without memory, at every place
if HAVE_CRITERION
check_PROGRAMS += tests/unit/nomem/test_nomem
TESTS += tests/unit/nomem/test_nomem
tests_unit_nomem_test_nomem_SOURCES = tests/unit/nomem/nomem.c tests/unit/nomem/nomem.h \
	tests/unit/nomem/table_dump.c tests/unit/nomem/table_dump.h \
	tests/unit/nomem/test_nomem_conf.c tests/unit/nomem/test_nomem_ctl.c tests/unit/nomem/test_nomem_gate.c tests/unit/nomem/test_nomem_guard.c tests/unit/nomem/test_nomem_join.c \
	tests/unit/nomem/test_nomem_kube.c tests/unit/nomem/test_nomem_new.c tests/unit/nomem/test_nomem_policy.c \
	tests/unit/nomem/test_nomem_register.c tests/unit/nomem/test_nomem_service.c tests/unit/nomem/test_nomem_store.c tests/unit/nomem/test_nomem_world.c \
	tests/unit/policy/cases.c tests/unit/policy/cases.h tests/unit/policy/fixture.c tests/unit/policy/fixture.h \
	$(result_sources)
tests_unit_nomem_test_nomem_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_nomem_test_nomem_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_nomem_test_nomem_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc \
	-Wl,--wrap=reallocarray -Wl,--wrap=free -Wl,--wrap=strdup -Wl,--wrap=strndup -Wl,--wrap=asprintf -Wl,--wrap=vasprintf \
	-Wl,--wrap=__asprintf_chk -Wl,--wrap=__vasprintf_chk -Wl,--wrap=rng_bytes -Wl,--wrap=rng_below \
	-Wl,--wrap=fsync -Wl,--wrap=kube_start -Wl,--wrap=kube_cancel
tests_unit_nomem_test_nomem_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
endif

# bpf: need root; run by `make check-system`
bpf_test_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
bpf_test_common = tests/bpf/harness.c tests/bpf/harness.h tests/lib/pkt.c tests/lib/pkt.h
bpf_lab = tests/bpf/lab.c tests/bpf/lab.h tests/lib/tcx.c tests/lib/tcx.h
bpf_test_sock_common = tests/bpf/sock_lab.c tests/bpf/sock_lab.h $(bpf_lab) $(bpf_test_common)
nl_refuse_sources = tests/lib/nl_refuse.c tests/lib/nl_refuse.h
bpf_test_programs = tests/bpf/insns tests/bpf/test_attach tests/bpf/test_backstop tests/bpf/test_cases tests/bpf/test_datapath \
	tests/bpf/test_filling tests/bpf/test_flood tests/bpf/test_flows tests/bpf/test_model tests/bpf/test_mutated \
	tests/bpf/test_priv tests/bpf/test_random tests/bpf/test_recon tests/bpf/test_room tests/bpf/test_shadow tests/bpf/test_snapshot tests/bpf/test_sock \
	tests/bpf/test_unread tests/bpf/test_vanish
SYSTEM_TESTS += $(bpf_test_programs)
EXTRA_PROGRAMS += $(bpf_test_programs)
CLEANFILES += $(bpf_test_programs)
tests_bpf_insns_SOURCES = tests/bpf/insns.c
tests_bpf_insns_LDADD = $(MESH_LIBS)
tests_bpf_test_attach_SOURCES = tests/bpf/test_attach.c $(bpf_lab) $(bpf_test_common)
tests_bpf_test_attach_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_attach_LDADD = $(MESH_LIBS)
tests_bpf_test_backstop_SOURCES = tests/bpf/test_backstop.c $(bpf_lab) $(bpf_test_common)
tests_bpf_test_backstop_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_backstop_LDADD = $(MESH_LIBS)
tests_bpf_test_cases_SOURCES = tests/bpf/test_cases.c tests/bpf/alone/criterion/criterion.h \
	tests/unit/policy/cases.c tests/unit/policy/cases.h tests/unit/policy/fixture.c tests/unit/policy/fixture.h \
	$(bpf_test_common)
tests_bpf_test_cases_CPPFLAGS = -I$(srcdir)/tests/bpf/alone $(bpf_test_cppflags)
tests_bpf_test_cases_LDADD = $(MESH_LIBS)
tests_bpf_test_datapath_SOURCES = tests/bpf/test_datapath.c $(bpf_test_common)
tests_bpf_test_datapath_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_datapath_LDADD = $(MESH_LIBS)
tests_bpf_test_filling_SOURCES = tests/bpf/test_filling.c $(bpf_test_common)
tests_bpf_test_filling_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_filling_LDADD = $(MESH_LIBS)
tests_bpf_test_flood_SOURCES = tests/bpf/test_flood.c $(result_sources) $(bpf_test_common)
tests_bpf_test_flood_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_flood_LDADD = $(MESH_LIBS)
tests_bpf_test_flows_SOURCES = tests/bpf/test_flows.c $(bpf_lab) $(bpf_test_common)
tests_bpf_test_flows_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_flows_LDADD = $(MESH_LIBS)
tests_bpf_test_model_SOURCES = tests/bpf/test_model.c $(bpf_test_common)
tests_bpf_test_model_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_model_LDADD = $(MESH_LIBS)
tests_bpf_test_mutated_SOURCES = tests/bpf/test_mutated.c $(result_sources) $(bpf_test_common)
tests_bpf_test_mutated_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_mutated_LDADD = $(MESH_LIBS)
tests_bpf_test_priv_SOURCES = tests/bpf/test_priv.c $(bpf_lab) $(bpf_test_common)
tests_bpf_test_priv_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_priv_LDADD = $(MESH_LIBS)
tests_bpf_test_random_SOURCES = $(result_sources) tests/bpf/test_random.c tests/bpf/alone/criterion/criterion.h \
	tests/unit/policy/fixture.c tests/unit/policy/fixture.h tests/unit/policy/random_set.c \
	tests/unit/policy/random_set.h $(bpf_test_common)
tests_bpf_test_random_CPPFLAGS = -I$(srcdir)/tests/bpf/alone $(bpf_test_cppflags)
tests_bpf_test_random_LDADD = $(MESH_LIBS)
tests_bpf_test_recon_SOURCES = tests/bpf/test_recon.c $(bpf_test_common)
tests_bpf_test_recon_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_recon_LDADD = $(MESH_LIBS)
tests_bpf_test_room_SOURCES = tests/bpf/test_room.c $(bpf_test_common)
tests_bpf_test_room_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_room_LDADD = $(MESH_LIBS)
tests_bpf_test_shadow_SOURCES = tests/bpf/test_shadow.c $(bpf_test_common)
tests_bpf_test_shadow_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_shadow_LDADD = $(MESH_LIBS)
tests_bpf_test_snapshot_SOURCES = tests/bpf/test_snapshot.c $(bpf_test_common)
tests_bpf_test_snapshot_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_snapshot_LDADD = $(MESH_LIBS)
tests_bpf_test_sock_SOURCES = tests/bpf/test_sock.c $(bpf_test_sock_common)
tests_bpf_test_sock_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_sock_LDADD = $(MESH_LIBS)
tests_bpf_test_unread_SOURCES = tests/bpf/test_unread.c $(bpf_test_common)
tests_bpf_test_unread_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_unread_LDADD = $(MESH_LIBS)
tests_bpf_test_vanish_SOURCES = tests/bpf/test_vanish.c $(nl_refuse_sources) $(bpf_test_sock_common)
tests_bpf_test_vanish_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_vanish_LDADD = $(MESH_LIBS)

# bpf benchmarks: `make tests/bench/bench_datapath tests/bench/bench_connect`, run as root
EXTRA_PROGRAMS += tests/bench/bench_connect tests/bench/bench_datapath
CLEANFILES += tests/bench/bench_connect tests/bench/bench_datapath
tests_bench_bench_connect_SOURCES = tests/bench/bench_connect.c $(bpf_lab) $(bpf_test_common)
tests_bench_bench_connect_CPPFLAGS = $(bpf_test_cppflags)
tests_bench_bench_connect_LDADD = $(MESH_LIBS)
tests_bench_bench_datapath_SOURCES = tests/bench/bench_datapath.c $(bench_stats) $(bpf_test_common)
tests_bench_bench_datapath_CPPFLAGS = $(bpf_test_cppflags)
tests_bench_bench_datapath_LDADD = $(MESH_LIBS) -lm

# netns: needs root; run by `make check-system`
SYSTEM_TESTS += tests/netns/test_net tests/netns/test_agent_net tests/netns/test_kinds
EXTRA_PROGRAMS += tests/netns/test_net tests/netns/test_agent_net tests/netns/test_kinds
CLEANFILES += tests/netns/test_net tests/netns/test_agent_net tests/netns/test_kinds
tests_netns_test_agent_net_SOURCES = tests/netns/test_agent_net.c $(bpf_lab) $(result_sources) $(bpf_test_common)
tests_netns_test_agent_net_CPPFLAGS = $(bpf_test_cppflags)
tests_netns_test_agent_net_LDADD = $(MESH_LIBS)
tests_netns_test_kinds_SOURCES = tests/netns/test_kinds.c $(bpf_lab) $(bpf_test_common)
tests_netns_test_kinds_CPPFLAGS = $(bpf_test_cppflags)
tests_netns_test_kinds_LDADD = $(MESH_LIBS)
tests_netns_test_net_SOURCES = tests/netns/test_net.c $(nl_refuse_sources)
tests_netns_test_net_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_netns_test_net_LDFLAGS = -Wl,--wrap=source_arm
tests_netns_test_net_LDADD = $(MESH_LIBS)

# cluster: need root and the built peers; run by `make check-cluster`
CLUSTER_TESTS = tests/cluster/t_lab.sh tests/cluster/t_client.sh tests/cluster/t_admission.sh tests/cluster/story.sh \
	tests/cluster/t_ipv6.sh tests/cluster/t_migrate.sh tests/cluster/t_oracle.sh tests/cluster/t_policy.sh \
	tests/cluster/t_clone.sh tests/cluster/t_coredns.sh tests/cluster/t_services.sh tests/cluster/t_versions.sh
cluster_programs = tests/cluster/dns_diff tests/cluster/oracle_sets tests/cluster/peer tests/cluster/policy_diff tests/lib/stream
EXTRA_PROGRAMS += $(cluster_programs)
CLEANFILES += $(cluster_programs)
tests_cluster_dns_diff_SOURCES = tests/cluster/dns_ask.c tests/cluster/dns_ask.h tests/cluster/dns_cases.c \
	tests/cluster/dns_cases.h tests/cluster/dns_diff.c \
	tests/cluster/dns_objects.c tests/cluster/dns_objects.h tests/cluster/dns_questions.c tests/cluster/dns_questions.h \
	tests/lib/random.h
tests_cluster_dns_diff_LDADD = $(MESH_LIBS)
tests_cluster_peer_SOURCES = tests/cluster/peer.c
tests_cluster_policy_diff_SOURCES = tests/cluster/diff_api.c tests/cluster/diff_api.h tests/cluster/diff_matrix.c \
	tests/cluster/diff_matrix.h tests/cluster/diff_objects.c tests/cluster/diff_objects.h tests/cluster/diff_probe.c \
	tests/cluster/diff_probe.h tests/cluster/diff_random.c tests/cluster/diff_random.h tests/cluster/policy_diff.c
tests_cluster_policy_diff_LDADD = $(MESH_LIBS)
tests_cluster_oracle_sets_SOURCES = tests/cluster/oracle_sets.c tests/cluster/diff_random.c tests/cluster/diff_random.h \
	tests/cluster/diff_strange.c tests/cluster/diff_strange.h tests/bpf/alone/criterion/criterion.h \
	tests/bpf/harness.h tests/unit/policy/cases.c tests/unit/policy/cases.h tests/unit/policy/fixture.c \
	tests/unit/policy/fixture.h
tests_cluster_oracle_sets_CPPFLAGS = -I$(srcdir)/tests/bpf/alone $(bpf_test_cppflags)
tests_cluster_oracle_sets_LDADD = $(MESH_LIBS)
tests_lib_stream_SOURCES = tests/lib/stream.c
EXTRA_DIST += tests/README.md tests/cluster/t_changes.sh tests/bench/README.md tests/bench/beside_cilium.sh tests/bench/beside_nftables.sh tests/bench/connect.sh tests/cluster/README.md tests/cluster/lab.sh tests/cluster/lib.sh tests/cluster/peers.sh \
	tests/cluster/load_lib.sh tests/cluster/service_cases.jq tests/cluster/service_cases.sh \
	tests/cluster/story_core.sh tests/cluster/story_lib.sh tests/cluster/story_life.sh \
	tests/cluster/dns.allowed tests/cluster/oracle/main.go tests/cluster/peer6.py tests/cluster/policy.allowed $(CLUSTER_TESTS)

EXTRA_DIST += tests/suite
run_suite = BUILD='$(abs_builddir)'; export BUILD; $(AM_TESTS_ENVIRONMENT) '$(srcdir)'/tests/suite $@
# Stories wait most of their time, each in namespaces of its own; the tests before them measure.
STORY_JOBS = 3
check-system: all $(SYSTEM_TESTS) $(story_needs)
	@failed=0; $(run_suite) 1 $(SYSTEM_TESTS:%=./%) || failed=1; \
	$(run_suite) $(STORY_JOBS) $(SYSTEM_STORIES:%='$(srcdir)'/%) || failed=1; exit $$failed
check-cluster: all $(cluster_programs) tests/netns/story_peer tests/unit/kube/test_reflector tests/unit/lib/test_apiserver
	$(srcdir)/tests/cluster/peers.sh build
	@$(run_suite) 1 $(CLUSTER_TESTS:%='$(srcdir)'/%)
.PHONY: check-system check-cluster
# netns: the whole product against the in-tree API server; the demo tells the same story to a person
story_programs = tests/netns/story_dns tests/netns/story_peer tests/netns/story_resolved tests/netns/story_stream \
	tests/netns/story_systemd
tests_netns_story_resolved_SOURCES = tests/netns/story_resolved.c tests/lib/fake_bus.c tests/lib/fake_bus.h tests/lib/fake_resolved.c tests/lib/fake_resolved.h
tests_netns_story_resolved_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib
tests_netns_story_resolved_LDADD = $(MESH_LIBS)
tests_netns_story_systemd_SOURCES = tests/netns/story_systemd.c tests/lib/fake_bus.c tests/lib/fake_bus.h tests/lib/fake_systemd.c tests/lib/fake_systemd.h
tests_netns_story_systemd_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib
tests_netns_story_systemd_LDADD = $(MESH_LIBS)
tests_netns_story_dns_SOURCES = tests/netns/story_dns.c
tests_netns_story_dns_LDADD = $(MESH_LIBS)
# The daemon as another version of it would be: pinned elsewhere, its maps of another layout. Only what knows of that is
# built again, and comes before the library.
story_programs += tests/netns/next/mesh-agentd
tests_netns_next_mesh_agentd_SOURCES = agent/agentd/main.c agent/agentd/datapath.c agent/agentd/stand_down.c agent/bpf/bpf_load.c \
	agent/bpf/bpf_obj.c agent/bpf/bpf_others.c agent/recon/ct_walk.c agent/recon/recon_flows.c agent/recon/snapshot.c
nodist_tests_netns_next_mesh_agentd_SOURCES = tests/netns/next/mesh_tc.skel.h tests/netns/next/mesh_sock.skel.h
tests_netns_next_mesh_agentd_CPPFLAGS = -DMESH_TEST_LAYOUT -I$(top_builddir)/tests/netns/next $(AM_CPPFLAGS)
tests_netns_next_mesh_agentd_LDADD = $(MESH_LIBS)
next_objects = tests/netns/next/mesh_tc.bpf.o tests/netns/next/mesh_sock.bpf.o
CLEANFILES += $(next_objects) tests/netns/next/mesh_tc.skel.h tests/netns/next/mesh_sock.skel.h
$(next_objects): $(bpf_prog_inc) $(bpf_prog_src)
	@$(MKDIR_P) tests/netns/next
	$(AM_V_GEN)$(bpf_compile) -DMESH_TEST_LAYOUT -c $(top_srcdir)/bpf/$(@F:.o=.c) -o $@.tmp && $(LLVM_STRIP) -g $@.tmp && mv $@.tmp $@
tests/netns/next/mesh_tc.skel.h: tests/netns/next/mesh_tc.bpf.o
	$(AM_V_GEN)$(BPFTOOL) gen skeleton tests/netns/next/mesh_tc.bpf.o >$@.tmp && mv $@.tmp $@
tests/netns/next/mesh_sock.skel.h: tests/netns/next/mesh_sock.bpf.o
	$(AM_V_GEN)$(BPFTOOL) gen skeleton tests/netns/next/mesh_sock.bpf.o >$@.tmp && mv $@.tmp $@
agent/bpf/tests_netns_next_mesh_agentd-bpf_obj.$(OBJEXT): tests/netns/next/mesh_tc.skel.h tests/netns/next/mesh_sock.skel.h
EXTRA_PROGRAMS += $(story_programs)
CLEANFILES += $(story_programs)
# crashes and lack of memory, at every place
torture_programs = tests/lib/crash
EXTRA_PROGRAMS += $(torture_programs)
CLEANFILES += $(torture_programs) $(preloads)
preloads = tests/lib/clock.so tests/lib/nomem.so tests/lib/refuse.so
tests_lib_crash_SOURCES = tests/lib/crash.c
EXTRA_DIST += tests/lib/clock.c tests/lib/json_objects.h tests/lib/nomem.c tests/lib/refuse.c tests/lib/wait_for.sh tests/netns/story_torture.sh
preload = $(AM_V_CC)$(MKDIR_P) tests/lib && $(CC) -O2 -g -Wall -Wextra -D_GNU_SOURCE -fPIC -shared -o $@
tests/lib/clock.so: tests/lib/clock.c
	$(preload) $(srcdir)/tests/lib/clock.c
tests/lib/nomem.so: tests/lib/nomem.c
	$(preload) $(srcdir)/tests/lib/nomem.c
tests/lib/refuse.so: tests/lib/refuse.c
	$(preload) $(srcdir)/tests/lib/refuse.c
tests_netns_story_peer_SOURCES = tests/netns/story_peer.c tests/netns/story_web.c tests/netns/story_web.h
tests_netns_story_stream_SOURCES = tests/lib/stream.c
EXTRA_DIST += tests/netns/resolver.sh tests/netns/story_backstop.sh tests/netns/story_boot.sh tests/netns/story_cases.sh tests/netns/story_checks.sh \
	tests/netns/story_clone.sh tests/netns/story_docs.sh tests/netns/story_fqdn.sh tests/netns/story_guard.sh tests/netns/story_lib.sh \
	tests/netns/story_life.sh tests/netns/story_netns.sh tests/netns/story_migrate.sh tests/netns/story_portal.sh \
	tests/netns/story_retry.sh tests/netns/story_room.sh tests/netns/story_services.sh tests/netns/story_setup.sh tests/netns/story_versions.sh tests/netns/story_years.sh tests/demo/run tests/demo/story tests/run
if HAVE_MICROHTTPD
SYSTEM_STORIES += tests/netns/story_netns.sh tests/netns/story_backstop.sh tests/netns/story_boot.sh tests/netns/story_clone.sh tests/netns/story_docs.sh \
	tests/netns/story_fqdn.sh tests/netns/story_guard.sh tests/netns/story_life.sh tests/netns/story_migrate.sh tests/netns/story_portal.sh \
	tests/netns/story_retry.sh tests/netns/story_room.sh tests/netns/story_torture.sh tests/netns/story_versions.sh tests/netns/story_years.sh tests/netns/resolver.sh
story_needs = $(story_programs) $(torture_programs) $(preloads) $(sbin_PROGRAMS) $(bin_PROGRAMS) tests/lib/mesh-test-apiserver
demo: $(story_needs)
	BUILD='$(abs_builddir)' $(srcdir)/tests/demo/story
else
demo:
	@echo 'the demo needs the in-tree API server: install libmicrohttpd and gnutls, then configure again' >&2
	@exit 1
endif
.PHONY: demo

# vm: the package in virtual machines; needs root. Other kernels: make check-vm KERNELS='5.10 6.12'. What takes longer, on
# demand: make check-vm VM_TESTS="tests/vm/t_resolver.sh tests/vm/t_life.sh"; without the packages themselves: PACKAGE_TESTS=
# Other releases of Debian: make check-vm PACKAGE_TESTS= KERNELS=trixie VM_TESTS="tests/vm/t_build.sh tests/vm/t_package.sh"
KERNELS = 6.1
VM_KERNELS = 5.10 6.1 6.12 trixie sid bullseye
VM_TESTS = tests/vm/t_kernel.sh tests/vm/t_package.sh tests/vm/t_geneve.sh
VM_LONG_TESTS = tests/vm/t_build.sh tests/vm/t_first_boot.sh tests/vm/t_package_rpm.sh tests/vm/t_resolver.sh tests/vm/t_life.sh \
	tests/vm/t_beside.sh tests/vm/t_cluster.sh
PACKAGE_TESTS = tests/vm/t_deb.sh tests/vm/t_rpm.sh
EXTRA_DIST += tests/vm/README.md tests/vm/box.sh tests/vm/guest.py tests/vm/guest.sh tests/vm/lib.sh tests/vm/machine.sh tests/vm/package.sh tests/vm/record.sh \
	tests/vm/run tests/vm/state.sh tests/vm/tag.bpf.c tests/vm/vm.sh $(PACKAGE_TESTS) $(VM_TESTS) $(VM_LONG_TESTS)
check-vm: all $(SYSTEM_TESTS) $(story_needs) tests/cluster/peer deb rpm
	@failed=0; [ -z "$(PACKAGE_TESTS)" ] || $(run_suite) 1 $(PACKAGE_TESTS:%='$(srcdir)'/%) || failed=1; \
	for KERNEL in $(KERNELS); do export KERNEL; $(run_suite) 1 $(VM_TESTS:%='$(srcdir)'/%) || failed=1; done; exit $$failed
.PHONY: check-vm

# report: what the runs left in this build directory, as a page and as JSON
EXTRA_DIST += tests/sim/README.md tests/report/README.md tests/report/budgets.jq tests/report/faults.json \
	tests/report/gather tests/report/page.jq
report:
	$(srcdir)/tests/report/gather $(srcdir) . results/report.json
	jq -r -f $(srcdir)/tests/report/page.jq results/report.json >results/report.html
	@echo 'results/report.html and results/report.json'
mostlyclean-local:
	rm -rf results
.PHONY: report mostlyclean-local

# the flags of the build, in the programs
dist_check_SCRIPTS += tests/unit/hardening.sh
TESTS += tests/unit/hardening.sh

# lint
AM_TESTS_ENVIRONMENT = srcdir='$(srcdir)'; export srcdir; builddir='$(builddir)'; export builddir; \
	MESH_RESULTS='$(abs_builddir)/results'; export MESH_RESULTS;
dist_check_SCRIPTS += tests/lint/layers tests/lint/banned tests/lint/faults
TESTS += tests/lint/layers tests/lint/banned tests/lint/faults
# static analysis, on demand: it takes minutes
EXTRA_DIST += tests/lint/analyze tests/lint/cppcheck.cfg tests/lint/cppcheck.supp
analyze: $(BUILT_SOURCES)
	@srcdir='$(srcdir)' ANALYZE_CFLAGS='-I$(abs_top_srcdir)/agent -I$(abs_top_srcdir)/bpf/include -I$(abs_top_builddir)/bpf \
		-D_GNU_SOURCE -DPACKAGE_VERSION_TEXT="" -DMESH_SYSCONFDIR="/etc" -DMESH_DATADIR="/usr" $(LIBBPF_CFLAGS) \
		$(CURL_CFLAGS) $(CRYPTO_CFLAGS) $(SYSTEMD_CFLAGS) $(LIBCONFIG_CFLAGS) $(JANSSON_CFLAGS) $(YAML_CFLAGS) \
		$(MNL_CFLAGS) $(SMARTCOLS_CFLAGS)' $(srcdir)/tests/lint/analyze
.PHONY: analyze

# bench: packet filters side by side:
EXTRA_PROGRAMS += tests/bench/netload tests/bench/empty_tc
CLEANFILES += tests/bench/netload tests/bench/empty_tc
tests_bench_netload_SOURCES = tests/bench/netload.c $(bench_stats)
tests_bench_netload_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_bench_netload_LDADD = $(MESH_LIBS) -lm -lpthread
tests_bench_empty_tc_SOURCES = tests/bench/empty_tc.c tests/lib/tcx.c tests/lib/tcx.h
tests_bench_empty_tc_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_bench_empty_tc_LDADD = $(MESH_LIBS)

# bench: the agent beside the peer, in the lab. `make tests/bench/load`, then tests/bench/scale.sh
EXTRA_PROGRAMS += tests/bench/load
CLEANFILES += tests/bench/load
tests_bench_load_SOURCES = tests/bench/load.c
tests_bench_load_LDADD = $(MESH_LIBS)
EXTRA_PROGRAMS += tests/bench/fleet
CLEANFILES += tests/bench/fleet
tests_bench_fleet_SOURCES = tests/bench/fleet.c tests/lib/ignoring.h
tests_bench_fleet_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_bench_fleet_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=kube_start
tests_bench_fleet_LDADD = $(MESH_LIBS)
EXTRA_DIST += tests/bench/fleet.sh tests/bench/idle.sh tests/bench/scale.sh
EXTRA_PROGRAMS += tests/bench/bench_sync tests/bench/latency
CLEANFILES += tests/bench/bench_sync tests/bench/latency
EXTRA_PROGRAMS += tests/bench/connect_cost tests/bench/dns_latency
CLEANFILES += tests/bench/connect_cost tests/bench/dns_latency
tests_bench_connect_cost_SOURCES = tests/bench/connect_cost.c
tests_bench_connect_cost_LDADD = $(MESH_LIBS)
tests_bench_dns_latency_SOURCES = tests/bench/dns_latency.c
tests_bench_dns_latency_LDADD = $(MESH_LIBS)
tests_bench_latency_SOURCES = tests/bench/latency.c
tests_bench_latency_LDADD = $(MESH_LIBS)
tests_bench_bench_sync_SOURCES = tests/bench/bench_sync.c
tests_bench_bench_sync_LDADD = $(MESH_LIBS)
