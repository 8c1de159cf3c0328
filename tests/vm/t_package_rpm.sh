#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The RPM in a machine with systemd, by its rpm: t_package_rpm.sh [KERNEL]. What t_package.sh does, as far as it is the package's doing.
PACKAGE=rpm VM_PARTS="${VM_PARTS:-machine installing joining enforcing rebooting upgrading removing purging}" exec "$(dirname "$0")/t_package.sh" "$@"
