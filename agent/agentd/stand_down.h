/* SPDX-License-Identifier: Apache-2.0 */
/* Takes out of the kernel what a daemon left there, without one: for removing the package. */
#pragma once

#include "base/err.h"
#include "conf/conf.h"

/*
 * Programs, links and maps of every version below bpf-root, the tunnel device, our routes. The
 * enrolment stays, as does the empty directory, which the unit has to find. 0 also if there was nothing; -EBUSY while a daemon runs: it would put all back.
 * Goes on after failures, returns the first.
 */
int stand_down(const struct conf *conf, struct err *reterr);

/*
 * Of that, what the kernel has: programs, maps, device and routes. For a daemon that died between the last two steps of
 * leaving, and starts without a credential. 0, also if there was nothing; -errno with a text, after it tried the rest.
 */
int stand_down_rest(const struct conf *conf, struct err *reterr);

/*
 * Of a daemon that crashed: queries of programs would go on to a port of its own, which anybody could take. Nothing while a
 * daemon runs. 0, also if there was nothing; -errno with a text.
 */
int stand_down_dns(const struct conf *conf, struct err *reterr);
