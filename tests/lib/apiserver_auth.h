/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks: the admin's token, ServiceAccount tokens, client certificates of the own CA. */
#pragma once

#include "apiserver_server.h"

/* Fills q->user; false for anonymous requests and for every credential that is not valid now. */
bool auth_user(struct req *q);
