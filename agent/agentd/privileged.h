/* SPDX-License-Identifier: Apache-2.0 */
/* The process that holds the rights (priv.h), and what it does with them. */
#pragma once

#include "base/err.h"
#include "conf/conf.h"

/*
 * Starts it, with the configuration, which it copies; see priv_start() for `argv`. From then on programs, maps, links
 * and routes are made there. 0 or -errno with text.
 */
int privileged_start(const struct conf *conf, char **argv, struct err *reterr);
