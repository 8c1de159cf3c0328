/* SPDX-License-Identifier: Apache-2.0 */
#include "join/checksum.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "crypto/secret.h"
#include "json/json.h"

int checksum_of(const json_t *object, char ret[CHECKSUM_STRLEN])
{
	CLEANUP(json_decref) json_t *copy = json_clone_top(object);
	CLEANUP(secret_free) char *text = NULL;
	unsigned char hash[SHA256_DIGEST_LENGTH];

	if (!copy)
		return -ENOMEM;
	(void)json_object_del(copy, "sum"); /* absent while it is made */
	text = json_text(copy);
	if (!text)
		return -ENOMEM;
	SHA256((const unsigned char *)text, strlen(text), hash);
	for (size_t i = 0; i < (CHECKSUM_STRLEN - 1) / 2; i++)
		(void)snprintf(ret + 2 * i, 3, "%02x", hash[i]);
	return 0;
}
