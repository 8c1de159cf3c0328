# fuzz: each target replays its corpus in `make check`; with --enable-fuzzing each is a libFuzzer program (README.md)
fuzz_targets = \
	tests/fuzz/fuzz_base64 \
	tests/fuzz/fuzz_cilium_config \
	tests/fuzz/fuzz_conf \
	tests/fuzz/fuzz_ctl_client \
	tests/fuzz/fuzz_ctl_server \
	tests/fuzz/fuzz_dns \
	tests/fuzz/fuzz_dns_forward \
	tests/fuzz/fuzz_dns_name \
	tests/fuzz/fuzz_http_head \
	tests/fuzz/fuzz_join_token \
	tests/fuzz/fuzz_json_stream \
	tests/fuzz/fuzz_jwt \
	tests/fuzz/fuzz_kubeconfig \
	tests/fuzz/fuzz_labels \
	tests/fuzz/fuzz_learned \
	tests/fuzz/fuzz_migration \
	tests/fuzz/fuzz_netlink \
	tests/fuzz/fuzz_nl_reply \
	tests/fuzz/fuzz_node \
	tests/fuzz/fuzz_policy \
	tests/fuzz/fuzz_resolv_conf \
	tests/fuzz/fuzz_selector \
	tests/fuzz/fuzz_service \
	tests/fuzz/fuzz_shadow_state \
	tests/fuzz/fuzz_slice \
	tests/fuzz/fuzz_snapshot \
	tests/fuzz/fuzz_state \
	tests/fuzz/fuzz_x509 \
	tests/fuzz/fuzz_yaml
fuzz_libs = $(MESH_LIBS) $(FUZZ_LIBS)
if FUZZING
fuzz_main = tests/fuzz/fuzz.h tests/fuzz/text.h
noinst_PROGRAMS += $(fuzz_targets)
else
fuzz_main = tests/fuzz/fuzz.h tests/fuzz/text.h tests/fuzz/replay_main.c
check_PROGRAMS += $(fuzz_targets)
TESTS += $(fuzz_targets)
endif
EXTRA_DIST += tests/fuzz/README.md tests/fuzz/corpus tests/fuzz/lsan.supp tests/fuzz/run

tests_fuzz_fuzz_base64_SOURCES = tests/fuzz/fuzz_base64.c $(fuzz_main)
tests_fuzz_fuzz_base64_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_cilium_config_SOURCES = tests/fuzz/fuzz_cilium_config.c tests/fuzz/documents.c tests/fuzz/documents.h $(fuzz_main)
tests_fuzz_fuzz_cilium_config_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_conf_SOURCES = tests/fuzz/fuzz_conf.c $(fuzz_main)
tests_fuzz_fuzz_conf_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_ctl_client_SOURCES = tests/fuzz/fuzz_ctl_client.c tests/fuzz/scratch.c tests/fuzz/scratch.h $(fuzz_main)
tests_fuzz_fuzz_ctl_client_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_ctl_server_SOURCES = tests/fuzz/fuzz_ctl_server.c tests/fuzz/scratch.c tests/fuzz/scratch.h $(fuzz_main)
tests_fuzz_fuzz_ctl_server_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_dns_SOURCES = tests/fuzz/fuzz_dns.c $(fuzz_main)
tests_fuzz_fuzz_dns_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_dns_forward_SOURCES = tests/fuzz/fuzz_dns_forward.c $(fuzz_main)
tests_fuzz_fuzz_dns_forward_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_dns_name_SOURCES = tests/fuzz/fuzz_dns_name.c $(fuzz_main)
tests_fuzz_fuzz_dns_name_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_http_head_SOURCES = tests/fuzz/fuzz_http_head.c $(fuzz_main)
tests_fuzz_fuzz_http_head_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_join_token_SOURCES = tests/fuzz/fuzz_join_token.c $(fuzz_main)
tests_fuzz_fuzz_join_token_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_json_stream_SOURCES = tests/fuzz/fuzz_json_stream.c $(fuzz_main)
tests_fuzz_fuzz_json_stream_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_jwt_SOURCES = tests/fuzz/fuzz_jwt.c $(fuzz_main)
tests_fuzz_fuzz_jwt_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_kubeconfig_SOURCES = tests/fuzz/fuzz_kubeconfig.c tests/fuzz/scratch.c tests/fuzz/scratch.h $(fuzz_main)
tests_fuzz_fuzz_kubeconfig_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_labels_SOURCES = tests/fuzz/fuzz_labels.c $(fuzz_main)
tests_fuzz_fuzz_labels_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_learned_SOURCES = tests/fuzz/fuzz_learned.c $(fuzz_main)
tests_fuzz_fuzz_learned_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_migration_SOURCES = tests/fuzz/fuzz_migration.c $(fuzz_main)
tests_fuzz_fuzz_migration_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_netlink_SOURCES = tests/fuzz/fuzz_netlink.c $(fuzz_main)
tests_fuzz_fuzz_netlink_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_nl_reply_SOURCES = tests/fuzz/fuzz_nl_reply.c $(fuzz_main)
tests_fuzz_fuzz_nl_reply_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_node_SOURCES = tests/fuzz/fuzz_node.c tests/fuzz/documents.c tests/fuzz/documents.h $(fuzz_main)
tests_fuzz_fuzz_node_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_policy_SOURCES = tests/fuzz/fuzz_policy.c tests/fuzz/documents.c tests/fuzz/documents.h $(fuzz_main)
tests_fuzz_fuzz_policy_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_resolv_conf_SOURCES = tests/fuzz/fuzz_resolv_conf.c tests/fuzz/scratch.c tests/fuzz/scratch.h $(fuzz_main)
tests_fuzz_fuzz_resolv_conf_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_selector_SOURCES = tests/fuzz/fuzz_selector.c $(fuzz_main)
tests_fuzz_fuzz_selector_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_service_SOURCES = tests/fuzz/fuzz_service.c tests/fuzz/documents.c tests/fuzz/documents.h $(fuzz_main)
tests_fuzz_fuzz_service_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_shadow_state_SOURCES = tests/fuzz/fuzz_shadow_state.c tests/fuzz/scratch.c tests/fuzz/scratch.h $(fuzz_main)
tests_fuzz_fuzz_shadow_state_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_slice_SOURCES = tests/fuzz/fuzz_slice.c tests/fuzz/documents.c tests/fuzz/documents.h $(fuzz_main)
tests_fuzz_fuzz_slice_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_snapshot_SOURCES = tests/fuzz/fuzz_snapshot.c $(fuzz_main)
tests_fuzz_fuzz_snapshot_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_state_SOURCES = tests/fuzz/fuzz_state.c tests/fuzz/scratch.c tests/fuzz/scratch.h $(fuzz_main)
tests_fuzz_fuzz_state_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_x509_SOURCES = tests/fuzz/fuzz_x509.c $(fuzz_main)
tests_fuzz_fuzz_x509_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_yaml_SOURCES = tests/fuzz/fuzz_yaml.c $(fuzz_main)
tests_fuzz_fuzz_yaml_LDADD = $(fuzz_libs)
