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
agent_libmesh_a_SOURCES += \
	agent/conf/conf.c agent/conf/conf.h \
	agent/conf/conf_schema.c agent/conf/conf_schema.h \
	agent/conf/conf_value.c

# http

# netlink

# bpf

# kube

# store

# identity, policy

# service

# dns

# plan

# recon

# join

# ctl
agent_libmesh_a_SOURCES += \
	agent/ctl/ctl_client.c agent/ctl/ctl_client.h \
	agent/ctl/ctl_conn.c agent/ctl/ctl_conn.h \
	agent/ctl/ctl_proto.h \
	agent/ctl/ctl_server.c agent/ctl/ctl_server.h \
	agent/ctl/ctl_verbs.h

# agentd

# cli

MESH_LIBS = agent/libmesh.a $(LIBBPF_LIBS) $(CURL_LIBS) $(CRYPTO_LIBS) $(SYSTEMD_LIBS) $(LIBCONFIG_LIBS) \
	$(JANSSON_LIBS) $(YAJL_LIBS) $(YAML_LIBS) $(MNL_LIBS) $(SMARTCOLS_LIBS) $(LDNS_LIBS)

# programs
