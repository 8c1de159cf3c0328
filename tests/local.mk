# Suites: check (no root, no network), check-system (root), check-cluster (the real peers), check-vm.

SYSTEM_TESTS =
EXTRA_PROGRAMS =

# lib

# unit: base

# unit: event, http, kube, store

# unit: identity, policy

# unit: service, dns

# unit: netlink, bpf, plan, recon

# unit: join, ctl, cli

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

# bpf benchmarks: `make tests/bench/bench_datapath tests/bench/bench_connect`, run as root
EXTRA_PROGRAMS += tests/bench/bench_connect tests/bench/bench_datapath
CLEANFILES += tests/bench/bench_connect tests/bench/bench_datapath
tests_bench_bench_connect_SOURCES = tests/bench/bench_connect.c tests/bpf/lab.c tests/bpf/lab.h $(bpf_test_common)
tests_bench_bench_connect_CPPFLAGS = $(bpf_test_cppflags)
tests_bench_bench_connect_LDADD = $(MESH_LIBS)
tests_bench_bench_datapath_SOURCES = tests/bench/bench_datapath.c $(bpf_test_common)
tests_bench_bench_datapath_CPPFLAGS = $(bpf_test_cppflags)
tests_bench_bench_datapath_LDADD = $(MESH_LIBS)

# netns

# cluster

# lint
AM_TESTS_ENVIRONMENT = srcdir='$(srcdir)'; export srcdir; builddir='$(builddir)'; export builddir;
dist_check_SCRIPTS = tests/lint/layers tests/lint/banned
TESTS += tests/lint/layers tests/lint/banned
