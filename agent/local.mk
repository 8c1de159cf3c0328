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
agent_libmesh_a_SOURCES += \
	agent/kube/decode_service.c agent/kube/decode_service.h \
	agent/kube/decode_slice.c agent/kube/decode_slice.h

# store

# identity, policy

# service
agent_libmesh_a_SOURCES += \
	agent/service/addr_index.c agent/service/addr_index.h \
	agent/service/id_table.c agent/service/id_table.h \
	agent/service/serve.c agent/service/serve.h \
	agent/service/service.c agent/service/service.h \
	agent/service/service_flush.c agent/service/service_private.h \
	agent/service/service_select.c agent/service/service_select.h

# dns
agent_libmesh_a_SOURCES += \
	agent/dns/dns_cache.c agent/dns/dns_cache.h \
	agent/dns/dns_explain.c \
	agent/dns/dns_forward.c agent/dns/dns_forward.h \
	agent/dns/dns_msg.c agent/dns/dns_msg.h agent/dns/dns_name.c agent/dns/dns_write.c \
	agent/dns/dns_provider.h \
	agent/dns/dns_response.c agent/dns/dns_response.h \
	agent/dns/dns_server.c agent/dns/dns_server.h agent/dns/dns_server_private.h \
	agent/dns/dns_sock.c agent/dns/dns_sock.h \
	agent/dns/dns_tcp.c agent/dns/dns_udp.c \
	agent/dns/dns_zone.c agent/dns/dns_zone.h agent/dns/dns_zone_private.h \
	agent/dns/dns_zone_service.c

# plan

# recon

# join

# ctl

# agentd

# cli

MESH_LIBS = agent/libmesh.a $(LIBBPF_LIBS) $(CURL_LIBS) $(CRYPTO_LIBS) $(SYSTEMD_LIBS) $(LIBCONFIG_LIBS) \
	$(JANSSON_LIBS) $(YAJL_LIBS) $(YAML_LIBS) $(MNL_LIBS) $(SMARTCOLS_LIBS) $(LDNS_LIBS)

# programs
