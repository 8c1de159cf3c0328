# Suites: check (no root, no network), check-system (root), check-cluster (the real peers), check-vm.

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
endif

# unit: base

# unit: event, http, kube, store

# unit: identity, policy
if HAVE_CRITERION
check_PROGRAMS += tests/unit/policy/policy_tests
TESTS += tests/unit/policy/policy_tests
tests_unit_policy_policy_tests_SOURCES = \
	tests/unit/policy/fixture.c tests/unit/policy/fixture.h \
	tests/unit/policy/yaml_json.c tests/unit/policy/yaml_json.h \
	tests/unit/policy/test_cases.c
tests_unit_policy_policy_tests_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit/policy $(CRITERION_CFLAGS)
tests_unit_policy_policy_tests_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
EXTRA_DIST += tests/data/policy-cases.yaml
endif

# unit: service, dns
noinst_PROGRAMS += tests/bench/bench_dns
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
	tests/unit/service/test_decode.c tests/unit/service/test_select.c tests/unit/service/test_table.c
tests_unit_service_test_service_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_service_test_service_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/dns/test_dns
TESTS += tests/unit/dns/test_dns
tests_unit_dns_test_dns_SOURCES = tests/unit/dns/fixture.c tests/unit/dns/fixture.h \
	tests/unit/dns/test_zone.c
tests_unit_dns_test_dns_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_dns_test_dns_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
endif

# unit: netlink, bpf, plan, recon
if HAVE_CRITERION
check_PROGRAMS += tests/unit/netlink/test_netlink
TESTS += tests/unit/netlink/test_netlink
tests_unit_netlink_test_netlink_SOURCES = tests/unit/netlink/test_netlink.c tests/unit/netlink/test_recon_net.c
tests_unit_netlink_test_netlink_CFLAGS = $(AM_CFLAGS) $(CRITERION_CFLAGS)
tests_unit_netlink_test_netlink_LDADD = $(MESH_LIBS) $(CRITERION_LIBS)
endif

# unit: join, ctl, cli

# bpf: need root; run by `make check-system`
bpf_test_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
bpf_test_common = tests/bpf/harness.c tests/bpf/harness.h tests/lib/pkt.c tests/lib/pkt.h
bpf_test_programs = tests/bpf/test_attach tests/bpf/test_datapath
SYSTEM_TESTS += $(bpf_test_programs)
EXTRA_PROGRAMS += $(bpf_test_programs)
CLEANFILES += $(bpf_test_programs)
tests_bpf_test_attach_SOURCES = tests/bpf/test_attach.c tests/bpf/lab.c tests/bpf/lab.h $(bpf_test_common)
tests_bpf_test_attach_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_attach_LDADD = $(MESH_LIBS)
tests_bpf_test_datapath_SOURCES = tests/bpf/test_datapath.c $(bpf_test_common)
tests_bpf_test_datapath_CPPFLAGS = $(bpf_test_cppflags)
tests_bpf_test_datapath_LDADD = $(MESH_LIBS)

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

# cluster

# lint
AM_TESTS_ENVIRONMENT = srcdir='$(srcdir)'; export srcdir; builddir='$(builddir)'; export builddir;
dist_check_SCRIPTS = tests/lint/layers tests/lint/banned
TESTS += tests/lint/layers tests/lint/banned
