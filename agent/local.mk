# The agent's layers, lowest first. A file includes only its own layer or lower ones (tests/lint/layers).
noinst_LIBRARIES += agent/libmesh.a
agent_libmesh_a_SOURCES =

# base
agent_libmesh_a_SOURCES += \
	agent/base/array.h \
	agent/base/backoff.c agent/base/backoff.h \
	agent/base/buf.c agent/base/buf.h \
	agent/base/cleanup.h \
	agent/base/clock.c agent/base/clock.h \
	agent/base/err.c agent/base/err.h \
	agent/base/file.c agent/base/file.h \
	agent/base/hash.c agent/base/hash.h \
	agent/base/ip.c agent/base/ip.h \
	agent/base/limits.h \
	agent/base/log.c agent/base/log.h \
	agent/base/macro.h \
	agent/base/rng.c agent/base/rng.h \
	agent/base/str.c agent/base/str.h

# event
agent_libmesh_a_SOURCES += \
	agent/event/loop.c agent/event/loop.h

# crypto

# json

# conf, obs

# http

# netlink

# bpf

# kube

# store

# identity, policy
agent_libmesh_a_SOURCES += \
	agent/identity/identity.c agent/identity/identity.h \
	agent/identity/intern.c agent/identity/intern.h \
	agent/identity/labels.c agent/identity/labels.h \
	agent/identity/named_port.c agent/identity/named_port.h \
	agent/identity/selector.c agent/identity/selector.h \
	agent/policy/policy.c agent/policy/policy.h \
	agent/policy/policy_class.c agent/policy/policy_class.h \
	agent/policy/policy_fqdn.c \
	agent/policy/policy_index.c agent/policy/policy_index.h \
	agent/policy/policy_local.c agent/policy/policy_local.h \
	agent/policy/policy_model.c agent/policy/policy_model.h \
	agent/policy/policy_parse.c agent/policy/policy_parse.h \
	agent/policy/policy_parse_knp.c \
	agent/policy/policy_parse_peers.c \
	agent/policy/policy_parse_ports.c \
	agent/policy/policy_prefix.c agent/policy/policy_prefix.h \
	agent/policy/policy_resolve.c agent/policy/policy_resolve.h \
	agent/policy/policy_rows.c agent/policy/policy_rows.h \
	agent/policy/policy_rule.c agent/policy/policy_rule.h \
	agent/policy/policy_status.c \
	agent/policy/policy_verdict.c agent/policy/policy_verdict.h

# service

# dns

# plan

# recon

# join

# ctl

# agentd

# cli

MESH_LIBS = agent/libmesh.a $(LIBBPF_LIBS) $(CURL_LIBS) $(CRYPTO_LIBS) $(SYSTEMD_LIBS) $(LIBCONFIG_LIBS) \
	$(JANSSON_LIBS) $(YAJL_LIBS) $(YAML_LIBS) $(MNL_LIBS) $(SMARTCOLS_LIBS) $(LDNS_LIBS)

# programs
