#!/bin/sh
# Stands in the totals for the tests that this build has left out.
echo "SKIP: built without libmicrohttpd and gnutls: the in-tree API server and all tests against it are left out; install libmicrohttpd-dev and configure again"
exit 77
