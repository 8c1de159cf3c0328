/* SPDX-License-Identifier: Apache-2.0 */
/* Every cap on what another party can make us hold or do, with its reason. */
#pragma once

enum {
	/*
	 * Text of one object, and of the watch event around it. etcd takes no more than 1.5 MiB unless it was told to, kube-apiserver
	 * no request above 3 MiB.
	 */
	LIMIT_OBJECT_BYTES = 4 * 1024 * 1024,
	/* One text in it. */
	LIMIT_TEXT_BYTES = 2 * 1024 * 1024,
	/* What one object may take as a document: what is in etcd always fits, as a document takes at most 8/3 of its text (doc.h). */
	LIMIT_DOCUMENT_BYTES = 4 * 1024 * 1024,
	/* Nesting of CNPs stays below 20; schema-less fields could be deeper. */
	LIMIT_JSON_DEPTH = 64,
	/* Body of a single (not streamed) API response: a list. */
	LIMIT_RESPONSE_BYTES = 8 * 1024 * 1024,
	/* One that is an object: what etcd takes, and how many values there are in it. A tree has some 100 bytes for each. */
	LIMIT_ANSWER_BYTES = 2 * 1024 * 1024,
	LIMIT_ANSWER_VALUES = 1 << 15,
	/* Kubernetes itself: 63 for label names, 253 for prefixes, objects' names and namespaces. */
	LIMIT_NAME = 253,
	LIMIT_LABEL_KEY = 384,	/* 253 prefix + / + 63 name, and = + 63 value for labels of CIDR groups */
	LIMIT_LABELS = 256,	/* of a Service, a node, a selector; pods in practice have below 40 */
	/*
	 * Of an identity or a prefix: more than any object has room for. With a lower one, whoever may make a pod could hide
	 * it from rules about its labels by more of them; and a prefix has those of every group around it, and one for each
	 * selector of a DNS name that stands for it.
	 */
	LIMIT_LABEL_SET = 1 << 16,
	LIMIT_ENDPOINTS = 1 << 20,
	/*
	 * What is kept of endpoints that several CiliumEndpointSlices name: room for all of a large cluster, whose operator
	 * sorts them anew. And slices of one endpoint: it has more than two only when it moves on before it left the first.
	 */
	LIMIT_ENDPOINT_COPIES = 1 << 17,
	LIMIT_ENDPOINT_SLICES = 8,
	LIMIT_IDENTITIES = 1 << 17,
	LIMIT_LOCAL_IDENTITIES = 1 << 18, /* of prefixes, those that were a moment ago among them, and of addresses told apart */
	LIMIT_PREFIXES = 1 << 16, /* of all policies and learned names; Cilium has room for 16384 in a policy */
	LIMIT_NODES = 1 << 16,
	LIMIT_SERVICES = 1 << 16,
	LIMIT_BACKENDS = 1 << 18,
	LIMIT_APISERVERS = 256, /* addresses of the Service default/kubernetes; large control planes have below 10 */
	LIMIT_KEYS = 1 << 18, /* names of objects of one kind, fit for use or not */
	/* Connections through all forwards, of six file descriptors each; callers that are counted, of one forward. */
	LIMIT_FORWARD_CONNS = 4096,
	LIMIT_FORWARD_CALLERS = 1024,
	LIMIT_SERVICE_EVENTS = 64, /* what one host says to a cluster about its Services at a time */
	LIMIT_POLICIES = 1 << 15,
	LIMIT_POLICIES_RULES = 1 << 19, /* of all policies together, as below */
	/*
	 * Of one policy: elements of its lists, of a NetworkPolicy with each peer; and ports, of a NetworkPolicy for each peer
	 * anew. 1.5 MiB have room for as many as somebody could mean, for more of what is empty, and for peers times ports.
	 */
	LIMIT_POLICY_RULES = 1 << 16,
	LIMIT_POLICY_PORTS = 1 << 19,
	LIMIT_ADDRESSES = 16,	/* of one endpoint or node */
	LIMIT_NAMED_PORTS = 64, /* of one endpoint */
	LIMIT_PORT_NAME = 15,
	/* Learned DNS names: what local programs can make us remember. A CDN's name has tens of addresses. */
	LIMIT_FQDN_NAMES = 4096,
	LIMIT_FQDN_IPS = 1000,	      /* of one name; Cilium's default too */
	LIMIT_FQDN_ADDRESSES = 32768, /* of all names */
	LIMIT_FQDN_ZOMBIES = 10000,   /* expired ones that connections still use; Cilium's default too */
	LIMIT_FQDN_TTL_S = 7 * 86400, /* RFC 8767: a longer one is a mistake */
	LIMIT_FQDN_FILE_BYTES = 4 * 1024 * 1024,
	/* Answers held back until the policy allows their addresses. */
	LIMIT_DNS_HELD = 1024,
	LIMIT_DNS_HELD_BYTES = 2 * 1024 * 1024,
	LIMIT_TOKEN_BYTES = 16 * 1024,
	LIMIT_STATE_BYTES = 64 * 1024 * 1024, /* of a file in the state directory: a whole set of policies */
	LIMIT_CONFIG_KEYS = 4096, /* of cilium-config, which has some 250 */
	LIMIT_CONFIG_BYTES = 1024 * 1024,
	LIMIT_CTL_REQUEST = 64 * 1024,
	LIMIT_CTL_RESPONSE = 64 * 1024 * 1024, /* and what all who may only read leave unread, before one of them may ask for more */
	LIMIT_CTL_CLIENTS = 32,
};
