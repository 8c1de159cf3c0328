/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of somebody else on an interface, of two instructions, by a link of tcx (Linux 6.6). */
#pragma once

#include <stdbool.h>

#define TCX_NEXT (-1) /* verdict: the next program decides; TC_ACT_* are the others */

/*
 * Attaches a program that answers `verdict`, as the first there or as the last. Returns the link, by which it stays and
 * which the caller closes, or -errno. *ret_id, if wanted, is the program's number.
 */
int tcx_attach(int ifindex, bool is_egress, int verdict, bool is_first, unsigned *ret_id);
