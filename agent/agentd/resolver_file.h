/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent as the first server of a plain /etc/resolv.conf. Those of before stay behind it, so that a host whose agent does
 * not answer asks them: the file is good for a boot without the agent, too. The file of before is kept as it is, by a second
 * name, and gets its own back; who writes it anew meanwhile has the last word.
 */
#pragma once

#include "base/err.h"
#include "base/ip.h"

/*
 * Puts `server` first. What names it first already, or is no plain file, is left alone. 1 if something was changed, 0;
 * -errno with text: -EEXIST if /etc/resolv.conf.new, by which name ours is made, is somebody else's. `root` as in
 * resolver_host.h.
 */
int resolver_file_take(const char *root, const struct ip *server, struct err *reterr);

/* Gives the file of before its name back. 1 if something was changed, 0; -errno with text. */
int resolver_file_give_back(const char *root, struct err *reterr);
