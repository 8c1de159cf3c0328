#!/bin/sh
# What the compiler and the linker were asked for is in the installed programs: a flag that a build system drops on
# the way is dropped in silence.
set -u
build=${builddir:-.}
command -v readelf >/dev/null || { echo "no readelf: install binutils"; exit 77; }
flags=$(sed -n 's/^HARDEN_CFLAGS = *//p' "$build/Makefile")
case " $flags " in
*" -fstack-protector-strong "*) ;;
*) echo "built without hardening: ${flags:-no flags}"; exit 77 ;;
esac
bad=0
fail() {
	echo "$1"
	bad=1
}

for f in mesh-agentd mesh-join meshctl; do
	p=$build/$f
	head=$(readelf -hW "$p") segments=$(readelf -lW "$p") dynamic=$(readelf -dW "$p") symbols=$(readelf -W --dyn-syms "$p")
	[ -n "$symbols" ] || fail "$f: cannot be read"
	echo "$head" | grep -q 'Type: *DYN' || fail "$f: not position-independent"
	echo "$dynamic" | grep -q 'FLAGS_1.*PIE' || fail "$f: a shared object, not a position-independent program"
	echo "$segments" | grep -q GNU_RELRO || fail "$f: no RELRO"
	echo "$dynamic" | grep -q BIND_NOW || fail "$f: symbols are bound late, so that RELRO is partial"
	echo "$segments" | grep -q 'GNU_STACK.* RW ' || fail "$f: the stack is executable"
	echo "$segments" | grep -q 'LOAD.* RWE ' && fail "$f: a segment is writable and executable"
	echo "$dynamic" | grep -q TEXTREL && fail "$f: relocations in the code"
	echo "$dynamic" | grep -qE 'R(UN)?PATH' && fail "$f: it looks for libraries in a place of its own"
	echo "$symbols" | grep -q __stack_chk_fail || fail "$f: no stack protector"
	case $flags in
	*_FORTIFY_SOURCE=*) echo "$symbols" | grep -q '_chk@' || fail "$f: no fortified functions" ;;
	esac
done

# The linker marks a program only if the C library's start files are marked, too: so each of our objects is looked at.
case "$flags $(uname -m)" in
*-fcf-protection*x86_64)
	objects=$(readelf -nW "$build/agent/libmesh.a" | grep -c '^File: ')
	marked=$(readelf -nW "$build/agent/libmesh.a" | grep -c 'IBT, SHSTK')
	[ "$objects" -gt 0 ] && [ "$objects" -eq "$marked" ] || fail "libmesh.a: $marked of $objects objects have CET"
	;;
esac
exit $bad
