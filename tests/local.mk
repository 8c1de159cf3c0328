# Suites: check (no root, no network), check-system (root), check-cluster (the real peers), check-vm.

# lib

# unit: base

# unit: event, http, kube, store

# unit: identity, policy

# unit: service, dns
noinst_PROGRAMS += tests/bench/bench_dns
tests_bench_bench_dns_SOURCES = tests/bench/bench_dns.c
tests_bench_bench_dns_LDADD = $(MESH_LIBS)
EXTRA_DIST += tests/bench/dns.sh

# unit: netlink, bpf, plan, recon

# unit: join, ctl, cli

# bpf

# netns

# cluster

# lint
AM_TESTS_ENVIRONMENT = srcdir='$(srcdir)'; export srcdir; builddir='$(builddir)'; export builddir;
dist_check_SCRIPTS = tests/lint/layers tests/lint/banned
TESTS += tests/lint/layers tests/lint/banned
