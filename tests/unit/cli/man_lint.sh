#!/bin/sh
# The manual pages are clean.
command -v mandoc >/dev/null || {
	echo "SKIP: mandoc is not installed: the manual pages are not checked"
	exit 77
}
# Pages that are not installed yet cannot be found.
text=$(mandoc -T lint "$srcdir"/man/*.[578] 2>/dev/null | grep -v 'referenced manual not found')
[ -z "$text" ] && exit 0
echo "FAIL: $text"
exit 1
