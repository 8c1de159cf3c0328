/* SPDX-License-Identifier: Apache-2.0 */
/* Directories of pins. They belong to the user that parses what comes by the network, and root removes them when the package goes. */
#pragma once

#include <dirent.h>

/*
 * To list one and to remove what is in it: never by a link, nor anything but a BPF file system. 0, or -errno: -ENOENT; -ELOOP or
 * -ENOTDIR for a link, -EXDEV for another file system.
 */
int bpfdir_open(const char *path, DIR **ret);
