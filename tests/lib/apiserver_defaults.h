/* SPDX-License-Identifier: Apache-2.0 */
/* What the real server adds to objects: names, identity, defaults of a few kinds. */
#pragma once

#include "apiserver_server.h"

/* Makes the name from generateName if there is none, and checks it. False with the reason. */
bool defaults_name(const struct kind *k, json_t *o, struct err *reterr);
/* uid (a given one stays), creationTimestamp, generation, and what defaults_fill() adds. */
void defaults_new(struct server *s, const struct kind *k, json_t *o);
/* Fills absent fields of the specification. */
void defaults_fill(struct server *s, const struct kind *k, json_t *o);
/* Sets o[key] to the time. */
void defaults_stamp(json_t *o, const char *key);
/* A random UUID. */
void defaults_uuid(char ret[37]);
