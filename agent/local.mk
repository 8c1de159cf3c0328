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
agent_libmesh_a_SOURCES += \
	agent/netlink/nl.c agent/netlink/nl.h \
	agent/netlink/nl_addr.c agent/netlink/nl_addr.h \
	agent/netlink/nl_attr.c agent/netlink/nl_attr.h \
	agent/netlink/nl_link.c agent/netlink/nl_link.h \
	agent/netlink/nl_route.c agent/netlink/nl_route.h

# bpf

# kube

# store

# identity, policy

# service

# dns

# plan

# recon
agent_libmesh_a_SOURCES += \
	agent/recon/recon_net.c agent/recon/recon_net.h \
	agent/recon/recon_nic.c agent/recon/recon_nic.h \
	agent/recon/recon_route.c agent/recon/recon_route.h

# join

# ctl

# agentd

# cli

MESH_LIBS = agent/libmesh.a $(LIBBPF_LIBS) $(CURL_LIBS) $(CRYPTO_LIBS) $(SYSTEMD_LIBS) $(LIBCONFIG_LIBS) \
	$(JANSSON_LIBS) $(YAJL_LIBS) $(YAML_LIBS) $(MNL_LIBS) $(SMARTCOLS_LIBS) $(LDNS_LIBS)

# programs
