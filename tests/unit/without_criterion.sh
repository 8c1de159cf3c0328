#!/bin/sh
# Stands in the totals for the tests that this build has left out.
echo "SKIP: built without Criterion: every unit test in C is left out; install libcriterion-dev and configure again"
exit 77
