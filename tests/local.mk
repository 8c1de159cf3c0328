# Suites: check (no root, no network), check-system (root), check-cluster (the real peers), check-vm.

dist_check_SCRIPTS =

# lib

# unit: base

# unit: event, http, kube, store

# unit: identity, policy

# unit: service, dns

# unit: netlink, bpf, plan, recon

# unit: join, ctl, cli
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

# bpf

# netns

# cluster

# lint
AM_TESTS_ENVIRONMENT = srcdir='$(srcdir)'; export srcdir; builddir='$(builddir)'; export builddir;
dist_check_SCRIPTS += tests/lint/layers tests/lint/banned
TESTS += tests/lint/layers tests/lint/banned
