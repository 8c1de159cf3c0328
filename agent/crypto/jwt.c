/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/jwt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "crypto/base64.h"
#include "json/json.h"

static int copy_name(char ret[LIMIT_NAME + 1], const json_t *object, const char *member)
{
	const char *s = json_str(object, member, "");

	if (strlen(s) > LIMIT_NAME)
		return -EINVAL;
	(void)snprintf(ret, LIMIT_NAME + 1, "%s", s); /* cannot be cut: checked above */
	return 0;
}

/* "system:serviceaccount:NAMESPACE:NAME" */
static int read_subject(const char *subject, struct jwt_claims *c)
{
	static const char prefix[] = "system:serviceaccount:";
	const char *ns, *colon;

	if (!str_has_prefix(subject, prefix))
		return 0; /* a token of another kind; the names stay empty */
	ns = subject + strlen(prefix);
	colon = strchr(ns, ':');
	if (!colon || (size_t)(colon - ns) > LIMIT_NAME || strlen(colon + 1) > LIMIT_NAME)
		return -EINVAL;
	(void)snprintf(c->namespace, sizeof(c->namespace), "%.*s", (int)(colon - ns), ns);
	(void)snprintf(c->service_account, sizeof(c->service_account), "%s", colon + 1);
	return 0;
}

int jwt_read(const char *token, struct jwt_claims *ret)
{
	CLEANUP(buf_done) struct buf payload = {.max = LIMIT_TOKEN_BYTES};
	CLEANUP(json_decref) json_t *claims = NULL;
	struct jwt_claims c = {0};
	const char *first, *second;
	const json_t *k8s;
	int r;

	if (strlen(token) > LIMIT_TOKEN_BYTES)
		return -EINVAL;
	first = strchr(token, '.');
	second = first ? strchr(first + 1, '.') : NULL;
	if (!second || strchr(second + 1, '.'))
		return -EINVAL;
	r = base64url_decode(first + 1, (size_t)(second - first - 1), &payload);
	if (r < 0)
		return r == -ENOMEM ? r : -EINVAL;
	claims = json_parse(payload.data, payload.len);
	if (!claims && errno == ENOMEM)
		return -ENOMEM;
	if (!json_is_object(claims))
		return -EINVAL;

	c.issued_s = json_int(claims, "iat", 0);
	c.expires_s = json_int(claims, "exp", 0);
	r = read_subject(json_str(claims, "sub", ""), &c);
	if (r < 0)
		return r;
	/* The member's name has dots, so no path can lead there. */
	k8s = json_object_get(claims, "kubernetes.io");
	r = copy_name(c.secret, k8s, "secret.name");
	if (r < 0)
		return r;
	*ret = c;
	return 0;
}
