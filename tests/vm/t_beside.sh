#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The parts of t_life.sh in which others manage the host's packet filter: t_beside.sh [KERNEL].
VM_PARTS="machine firewalld docker" exec "$(dirname "$0")/t_life.sh" "$@"
