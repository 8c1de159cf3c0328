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
	agent/base/str.c agent/base/str.h \
	agent/base/u32map.c agent/base/u32map.h

# event
agent_libmesh_a_SOURCES += \
	agent/event/loop.c agent/event/loop.h

# crypto
agent_libmesh_a_SOURCES += \
	agent/crypto/base64.c agent/crypto/base64.h \
	agent/crypto/jwt.c agent/crypto/jwt.h \
	agent/crypto/secret.c agent/crypto/secret.h \
	agent/crypto/x509.c agent/crypto/x509.h agent/crypto/x509_internal.h \
	agent/crypto/x509_fetch.c

# json
agent_libmesh_a_SOURCES += \
	agent/json/json.c agent/json/json.h \
	agent/json/json_paths.c agent/json/json_paths.h \
	agent/json/json_stream.c agent/json/json_stream.h

# conf, obs
agent_libmesh_a_SOURCES += \
	agent/conf/conf.c agent/conf/conf.h \
	agent/conf/conf_schema.c agent/conf/conf_schema.h \
	agent/conf/conf_value.c

# http
agent_libmesh_a_SOURCES += \
	agent/http/http.c agent/http/http.h

# netlink

# bpf

# kube
agent_libmesh_a_SOURCES += \
	agent/kube/kube_client.c agent/kube/kube_client.h \
	agent/kube/reflector.c agent/kube/reflector.h \
	agent/kube/decode_endpoint.c agent/kube/decode_endpoint.h \
	agent/kube/cilium_config.c agent/kube/cilium_config.h \
	agent/kube/decode_node.c agent/kube/decode_node.h \
	agent/kube/decode_service.c agent/kube/decode_service.h \
	agent/kube/decode_slice.c agent/kube/decode_slice.h

agent_libmesh_a_SOURCES += \
	agent/kube/kubeconfig.c agent/kube/kubeconfig.h \
	agent/kube/kubeconfig_exec.c agent/kube/kubeconfig_exec.h \
	agent/kube/kube_object.c agent/kube/kube_object.h \
	agent/kube/yaml_json.c agent/kube/yaml_json.h

# store
agent_libmesh_a_SOURCES += \
	agent/store/endpoint_table.c agent/store/endpoint_table.h \
	agent/store/key_set.c agent/store/key_set.h \
	agent/store/node_table.c agent/store/node_table.h

# identity: ipcache
agent_libmesh_a_SOURCES += \
	agent/identity/ipcache.c agent/identity/ipcache.h

# identity, policy

# service
agent_libmesh_a_SOURCES += \
	agent/service/addr_index.c agent/service/addr_index.h \
	agent/service/id_table.c agent/service/id_table.h \
	agent/service/serve.h \
	agent/service/service.c agent/service/service.h \
	agent/service/service_flush.c agent/service/service_private.h \
	agent/service/service_select.c agent/service/service_select.h

# dns

# plan
agent_libmesh_a_SOURCES += \
	agent/plan/plan_policy.c agent/plan/plan_policy.h \
	agent/plan/plan_service.c agent/plan/plan_service.h

# recon
agent_libmesh_a_SOURCES += \
	agent/recon/map_batch.c agent/recon/map_batch.h \
	agent/recon/recon_addr.c agent/recon/recon_addr.h \
	agent/recon/recon_policy.c agent/recon/recon_policy.h \
	agent/recon/recon_service.c agent/recon/recon_service.h

# join
agent_libmesh_a_SOURCES += \
	agent/join/address_check.c agent/join/address_check.h \
	agent/join/checksum.c agent/join/checksum.h \
	agent/join/cluster_info.c agent/join/cluster_info.h \
	agent/join/enrol.c agent/join/enrol.h \
	agent/join/enrol_identity.c agent/join/enrol_identity.h \
	agent/join/enrol_list.c \
	agent/join/enrol_objects.c agent/join/enrol_objects.h \
	agent/join/join.c agent/join/join.h \
	agent/join/join_state.c agent/join/join_state.h \
	agent/join/join_token.c agent/join/join_token.h \
	agent/join/label_check.c agent/join/label_check.h \
	agent/join/manifests.c agent/join/manifests.h \
	agent/join/names.h
nodist_agent_libmesh_a_SOURCES = agent/join/manifests_data.c
CLEANFILES += agent/join/manifests_data.c
MESH_MANIFESTS = packaging/kubernetes/10-base.yaml packaging/kubernetes/20-admission.yaml
kubernetesdir = $(pkgdatadir)/kubernetes
dist_kubernetes_DATA = $(MESH_MANIFESTS)

# The manifests as one string, so that `meshctl cluster setup` needs no files.
agent/join/manifests_data.c: $(MESH_MANIFESTS)
	$(AM_V_GEN)$(MKDIR_P) agent/join && { \
		echo 'extern const char manifests_data[]; const char manifests_data[] ='; \
		first=yes; \
		for f in $(MESH_MANIFESTS); do \
			test $$first = yes || echo '"---\n"'; first=no; \
			$(SED) -e 's/[\\"]/\\&/g' -e 's/^/"/' -e 's/$$/\\n"/' $(top_srcdir)/$$f || exit 1; \
		done; \
		echo ';'; } > $@.tmp && mv $@.tmp $@

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
