# Suites: check (no root, no network), check-system (root), check-cluster (the real peers), check-vm.

dist_check_SCRIPTS =
SYSTEM_TESTS =
EXTRA_PROGRAMS =

# lib
if HAVE_MICROHTTPD
noinst_PROGRAMS += tests/lib/mesh-test-apiserver
tests_lib_mesh_test_apiserver_SOURCES = \
	tests/lib/apiserver_admin.c \
	tests/lib/apiserver_auth.c tests/lib/apiserver_auth.h \
	tests/lib/apiserver_defaults.c tests/lib/apiserver_defaults.h \
	tests/lib/apiserver_discovery.c \
	tests/lib/apiserver_faults.c tests/lib/apiserver_faults.h \
	tests/lib/apiserver_gc.c \
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
tests_unit_lib_test_apiserver_SOURCES = tests/unit/lib/test_apiserver.c tests/unit/lib/test_apiserver_auth.c \
	tests/unit/lib/test_apiserver_faults.c tests/unit/lib/helpers.c tests/unit/lib/helpers.h
tests_unit_lib_test_apiserver_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib
tests_unit_lib_test_apiserver_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_lib_test_apiserver_LDADD = $(APISERVER_LIB) $(MESH_LIBS) $(CRITERION_LIBS)
endif
endif

# unit: base

# unit: event, http, kube, store

# unit: identity, policy
if HAVE_CRITERION
check_PROGRAMS += tests/unit/identity/identity_tests tests/unit/policy/policy_tests
TESTS += tests/unit/identity/identity_tests tests/unit/policy/policy_tests
tests_unit_identity_identity_tests_SOURCES = \
	tests/unit/identity/test_identity.c tests/unit/identity/test_labels.c
tests_unit_identity_identity_tests_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_identity_identity_tests_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
tests_unit_policy_policy_tests_SOURCES = \
	tests/unit/policy/fixture.c tests/unit/policy/fixture.h \
	tests/unit/policy/yaml_json.c tests/unit/policy/yaml_json.h \
	tests/unit/policy/test_cases.c tests/unit/policy/test_hostile.c \
	tests/unit/policy/test_random.c tests/unit/policy/test_table.c
tests_unit_policy_policy_tests_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit/policy $(CRITERION_CFLAGS)
tests_unit_policy_policy_tests_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
EXTRA_DIST += tests/data/policy-cases.yaml
endif
check_PROGRAMS += tests/bench/bench_policy
tests_bench_bench_policy_SOURCES = tests/bench/bench_policy.c
tests_bench_bench_policy_LDADD = $(MESH_LIBS)

# unit: service, dns
noinst_PROGRAMS += tests/bench/bench_dns tests/bench/bench_service
tests_bench_bench_service_SOURCES = tests/bench/bench_service.c
tests_bench_bench_service_LDADD = $(MESH_LIBS)
tests_bench_bench_dns_SOURCES = tests/bench/bench_dns.c
tests_bench_bench_dns_LDADD = $(MESH_LIBS)
EXTRA_DIST += tests/bench/dns.sh tests/data/dns/objects.json tests/data/dns/cases.json \
	tests/data/service/backends.json tests/fuzz/corpus/dns tests/fuzz/replay_dns
check_PROGRAMS += tests/fuzz/fuzz_dns
tests_fuzz_fuzz_dns_SOURCES = tests/fuzz/fuzz_dns.c tests/fuzz/replay_main.c
tests_fuzz_fuzz_dns_LDADD = $(MESH_LIBS)
TESTS += tests/fuzz/replay_dns
if HAVE_CRITERION
check_PROGRAMS += tests/unit/service/test_service
TESTS += tests/unit/service/test_service
tests_unit_service_test_service_SOURCES = tests/unit/service/objects.c tests/unit/service/objects.h \
	tests/unit/service/test_decode.c tests/unit/service/test_select.c tests/unit/service/test_serve.c \
	tests/unit/service/test_table.c
tests_unit_service_test_service_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_service_test_service_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/dns/test_dns
TESTS += tests/unit/dns/test_dns
tests_unit_dns_test_dns_SOURCES = tests/unit/dns/fixture.c tests/unit/dns/fixture.h \
	tests/unit/dns/test_msg.c tests/unit/dns/test_server.c tests/unit/dns/test_zone.c
tests_unit_dns_test_dns_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_dns_test_dns_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
endif

# unit: netlink, bpf, plan, recon

# unit: join, ctl, cli
if HAVE_CRITERION
check_PROGRAMS += tests/unit/crypto/test_crypto tests/unit/join/test_join
TESTS += tests/unit/crypto/test_crypto tests/unit/join/test_join
tests_unit_crypto_test_crypto_SOURCES = tests/unit/crypto/certs.h \
	tests/unit/crypto/test_base64.c tests/unit/crypto/test_jwt.c tests/unit/crypto/test_x509.c
tests_unit_crypto_test_crypto_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit/crypto $(CRITERION_CFLAGS)
tests_unit_crypto_test_crypto_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
tests_unit_join_test_join_SOURCES = tests/unit/crypto/certs.h \
	tests/unit/join/test_enrol.c tests/unit/join/test_join_state.c tests/unit/join/test_join_token.c \
	tests/unit/join/test_kubeconfig.c tests/unit/join/test_label_check.c tests/unit/join/test_yaml_json.c
tests_unit_join_test_join_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit/join $(CRITERION_CFLAGS)
tests_unit_join_test_join_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
endif
EXTRA_DIST += tests/cluster/attack.cases tests/cluster/attack.sh tests/cluster/attack_lab.sh tests/cluster/enrol.sh
check_PROGRAMS += tests/unit/cli/fake_daemon
tests_unit_cli_fake_daemon_SOURCES = tests/unit/cli/fake_daemon.c
tests_unit_cli_fake_daemon_LDADD = $(MESH_LIBS)
dist_check_SCRIPTS += tests/unit/cli/meshctl.sh tests/unit/cli/man.sh
EXTRA_DIST += tests/unit/cli/data/fixture.json
TESTS += tests/unit/cli/meshctl.sh tests/unit/cli/man.sh
if HAVE_CRITERION
check_PROGRAMS += tests/unit/conf/test_conf tests/unit/ctl/test_ctl tests/unit/cli/test_cli
TESTS += tests/unit/conf/test_conf tests/unit/ctl/test_ctl tests/unit/cli/test_cli
tests_unit_conf_test_conf_SOURCES = tests/unit/conf/test_conf.c
tests_unit_conf_test_conf_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_conf_test_conf_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
tests_unit_ctl_test_ctl_SOURCES = tests/unit/ctl/test_ctl.c
tests_unit_ctl_test_ctl_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_ctl_test_ctl_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
tests_unit_cli_test_cli_SOURCES = tests/unit/cli/test_cli.c
tests_unit_cli_test_cli_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_cli_test_cli_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
endif

# bpf: need root; run by `make check-system`
bpf_test_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
bpf_test_common = tests/bpf/harness.c tests/bpf/harness.h tests/lib/pkt.c tests/lib/pkt.h
bpf_test_programs = tests/bpf/test_attach tests/bpf/test_datapath tests/bpf/test_model \
	tests/bpf/test_sock
SYSTEM_TESTS += $(bpf_test_programs)
EXTRA_PROGRAMS += $(bpf_test_programs)
CLEANFILES += $(bpf_test_programs)
tests_bpf_test_attach_SOURCES = tests/bpf/test_attach.c tests/bpf/lab.c tests/bpf/lab.h $(bpf_test_common)
tests_bpf_test_attach_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_attach_LDADD = $(MESH_LIBS)
tests_bpf_test_datapath_SOURCES = tests/bpf/test_datapath.c $(bpf_test_common)
tests_bpf_test_datapath_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_datapath_LDADD = $(MESH_LIBS)
tests_bpf_test_model_SOURCES = tests/bpf/test_model.c $(bpf_test_common)
tests_bpf_test_model_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_model_LDADD = $(MESH_LIBS)
tests_bpf_test_sock_SOURCES = tests/bpf/test_sock.c tests/bpf/lab.c tests/bpf/lab.h $(bpf_test_common)
tests_bpf_test_sock_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_sock_LDADD = $(MESH_LIBS)

# bpf benchmark: `make tests/bench/bench_datapath`, run as root
EXTRA_PROGRAMS += tests/bench/bench_datapath
CLEANFILES += tests/bench/bench_datapath
tests_bench_bench_datapath_SOURCES = tests/bench/bench_datapath.c $(bpf_test_common)
tests_bench_bench_datapath_CPPFLAGS = $(bpf_test_cppflags)
tests_bench_bench_datapath_LDADD = $(MESH_LIBS)

# netns: needs root; run by `make check-system`
SYSTEM_TESTS += tests/netns/test_net
EXTRA_PROGRAMS += tests/netns/test_net
CLEANFILES += tests/netns/test_net
tests_netns_test_net_SOURCES = tests/netns/test_net.c
tests_netns_test_net_LDADD = $(MESH_LIBS)

# cluster: `make check-cluster` builds the peers if they are not there, and needs root
EXTRA_PROGRAMS += tests/cluster/peer tests/lib/stream
CLEANFILES += tests/cluster/peer tests/lib/stream
tests_cluster_peer_SOURCES = tests/cluster/peer.c
tests_lib_stream_SOURCES = tests/lib/stream.c
EXTRA_DIST += tests/cluster/lab.sh tests/cluster/lib.sh tests/cluster/peers.sh tests/cluster/story.sh \
	tests/cluster/story_core.sh tests/cluster/story_lib.sh tests/cluster/story_life.sh
.PHONY: check-cluster
check-cluster: all tests/cluster/peer$(EXEEXT) tests/lib/stream$(EXEEXT)
	$(srcdir)/tests/cluster/peers.sh build
	BUILD='$(abs_builddir)' $(srcdir)/tests/cluster/story.sh

# lint
AM_TESTS_ENVIRONMENT = srcdir='$(srcdir)'; export srcdir; builddir='$(builddir)'; export builddir;
dist_check_SCRIPTS += tests/lint/layers tests/lint/banned
TESTS += tests/lint/layers tests/lint/banned
