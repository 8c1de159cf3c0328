/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control protocol. A Unix stream socket; each message is one line of JSON.
 *
 *   -> {"verb":"status","args":{}}
 *   <- {"ok":true,"data":{...}}
 *   <- {"ok":false,"code":"denied","error":"sentence for a person"}
 *
 * Requests are answered in order. A stream verb is answered once with {"ok":true,"data":{}}, then
 * come events until the client closes; the client sends nothing more:
 *
 *   <- {"event":{...}}
 *   <- {"lost":12}       so many events did not fit since the line before: the reader is too slow
 */
#pragma once

#include <stdint.h>

/* Values of "code". */
#define CTL_CODE_REQUEST "bad-request" /* not JSON, wrong members, unknown verb, bad argument */
#define CTL_CODE_DENIED	 "denied"      /* the peer may not do this */
#define CTL_CODE_MISSING "not-found"   /* the thing asked for does not exist */
#define CTL_CODE_UNJOINED "not-joined" /* needs a joined host */
#define CTL_CODE_BUSY	 "busy"	       /* too many clients, or what it would disturb is under way */
#define CTL_CODE_FAILED	 "failed"      /* the daemon tried and could not */

enum {
	/* Events wait here for a slow reader; what does not fit is counted. */
	CTL_STREAM_BYTES = 1024 * 1024,
	/* A client that neither asks nor reads for so long is closed. */
	CTL_IDLE_S = 30,
	/* Clients that only root may fill, so that others cannot lock root out. */
	CTL_ROOT_CLIENTS = 4,
};
