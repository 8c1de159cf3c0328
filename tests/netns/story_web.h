/* SPDX-License-Identifier: Apache-2.0 */
/* The web servers and clients of story_peer; the arguments are those of its commands. */
#pragma once

int web_serve(char **argv);
int web_late(char **argv);
int web_load(char **argv);

/* Of story_peer.c: tells errno, returns 1; a number, or the end of the program. */
int fail(const char *what);
unsigned long number(const char *text, unsigned long max);
