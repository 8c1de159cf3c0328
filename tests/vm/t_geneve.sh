#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The first parts of t_package.sh in a cluster whose tunnel is Geneve: t_geneve.sh [KERNEL].
STORY_TUNNEL=geneve VM_PARTS="machine installing joining enforcing" exec "$(dirname "$0")/t_package.sh" "$@"
