/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's keys in its state directory: a CA of its own, certificates for the server and the
 * admin, the key of ServiceAccount tokens, the admin's token. What is there is used again, but the
 * server's certificate, whose names may change.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

struct keys;

/* `sans`: names and addresses of the server. Any errno of the files; -EIO when a key cannot be
 * made. */
int keys_open(const char *dir, const struct strv *sans, bool is_expired, struct keys **ret,
	      struct err *reterr);
void keys_free(struct keys *k);
/* Writes DIR/admin.conf, a kubeconfig with the admin's client certificate. */
int keys_write_kubeconfig(const struct keys *k, const char *dir, const char *url,
			  struct err *reterr);

/* PEM, borrowed. */
const char *keys_ca(const struct keys *k);
const char *keys_server_cert(const struct keys *k);
const char *keys_server_key(const struct keys *k);
const char *keys_admin_token(const struct keys *k);

/* A JWT signed with ES256, owned by the caller. */
char *keys_sign(const struct keys *k, const json_t *claims);
/* The claims if the signature is ours, else NULL. Does not look at times. */
json_t *keys_verify(const struct keys *k, const char *jwt);
