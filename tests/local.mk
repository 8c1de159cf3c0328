# Suites: check (no root, no network), check-system (root), check-cluster (the real peers), check-vm.

# lib

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

# unit: netlink, bpf, plan, recon

# unit: join, ctl, cli

# bpf

# netns

# cluster

# lint
AM_TESTS_ENVIRONMENT = srcdir='$(srcdir)'; export srcdir; builddir='$(builddir)'; export builddir;
dist_check_SCRIPTS = tests/lint/layers tests/lint/banned
TESTS += tests/lint/layers tests/lint/banned
