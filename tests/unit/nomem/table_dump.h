/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>

#include "unit/policy/fixture.h"

/* What the policies and their table say, without the numbers that differ from one way there to another. */
void table_dump(struct fixture *f, FILE *out);
/* What of it the policies alone say. */
void policies_dump(struct fixture *f, FILE *out);
