# Suites: check (no root, no network), check-system (root), check-cluster (the real peers), check-vm.

# lib

# unit: base

# unit: event, http, kube, store

# unit: identity, policy

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

# bpf

# netns

# cluster

# lint
AM_TESTS_ENVIRONMENT = srcdir='$(srcdir)'; export srcdir; builddir='$(builddir)'; export builddir;
dist_check_SCRIPTS = tests/lint/layers tests/lint/banned
TESTS += tests/lint/layers tests/lint/banned
