# Suites: check (no root, no network), check-system (root), check-cluster (the real peers), check-vm.

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
