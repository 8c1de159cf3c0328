/* SPDX-License-Identifier: Apache-2.0 */
/* What the feeds of the sync share: sync.c, and one file for each way in which objects are kept. */
#pragma once

#include "agentd/sync.h"
#include "base/u32map.h"
#include "kube/decode_endpoint.h"
#include "store/key_set.h"

enum kind {
	KIND_CONFIG,
	KIND_NAMESPACE,
	KIND_IDENTITY,
	KIND_NODE,
	KIND_ENDPOINT,
	KIND_CNP,
	KIND_CCNP,
	KIND_CIDR_GROUP,
	KIND_KNP,
	KIND_SERVICE,
	KIND_SLICE,
	KIND_IMPORT,
	KINDS,
};

/* One kind's state: what its callbacks get as their argument. */
struct feed {
	struct sync *sync;
	enum kind kind;
	struct reflector *reflector;
	struct key_set *keys; /* of document kinds */
	struct key_set *left_out; /* policies that there is no room for */
	uint64_t rejected;
	bool is_waiting; /* so far as was told; a kind that stays away is told of once */
};

struct sync {
	struct sync_tables t;
	struct sync_callbacks cb;
	struct feed feeds[KINDS];
	struct json_paths *endpoint_paths, *identity_paths;
	char *config_path;
	bool has_slices;
	struct kube_endpoint endpoint; /* the CiliumEndpoint being read */
	struct kube_ces ces;	       /* or the slice */
	struct label_builder labels; /* of the identity being read */
	char identity_name[16];
	int identity_error; /* -ENOMEM, or another: refused */
	struct u32map identity_epochs;
	uint64_t identity_epoch;
	uint64_t reread_us; /* when what was left out was last listed anew; 0 = never */
};

/* Something changed that others are computed from. */
void sync_changed(struct sync *s);

/* Notes and tells that an object is left out. `ns` and `name` may be NULL. */
void sync_reject(struct feed *f, const char *ns, const char *name, const char *why);

/* The same for -errno `r`, told as `why` if that says something; -ENOMEM is told apart, as what was left out may forbid something. */
void sync_failed(struct feed *f, const char *ns, const char *name, int r, const char *why);

/* What is read of a CiliumIdentity. */
extern const struct json_field sync_identity_fields[];
extern const size_t sync_identity_n_fields;

extern const struct reflector_ops sync_identity_ops, sync_endpoint_ops, sync_endpoint_slice_ops;
/* Documents that are kept under their names, elsewhere: policies, Services, EndpointSlices, ServiceImports. */
extern const struct reflector_ops sync_keyed_ops;
