#!/bin/sh
# Every command and option of the table is in meshctl(8) and in the completion.
set -u
bad=0
fail() {
	echo "FAIL: $*"
	bad=1
}
page=$srcdir/man/meshctl.8
words=$("$builddir/meshctl" completion words) || exit 99
[ -n "$words" ] || exit 99
while read -r what rest; do
	case $what in
	command)
		grep -qE "^\.It Cm $rest( |\$)" "$page" || fail "$page: no command \"$rest\""
		;;
	option)
		opt=${rest##*--}
		name=${rest% --*}
		[ "$name" = - ] && name=
		# within the command's own entry: from its .It Cm to the next one
		if [ -n "$name" ]; then
			awk -v want=".It Cm $name" -v opt="Fl -$opt" '
				/^\.It Cm [a-z]/ { on = (($0 " ") ~ ("^\\.It Cm " substr(want, 8) "( |$)") && index($0, want) == 1) ? 1 : ($0 ~ /^\.It Cm (enforced|not-selecting|degraded|rejected)$/ ? on : 0) }
				on && index($0 " ", opt " ") { found = 1 }
				END { exit !found }' "$page" || fail "$page: no option --$opt at \"$name\""
		else
			grep -qE "^\.It Fl.*-$opt( |\$)" "$page" || fail "$page: no option --$opt"
		fi
		;;
	esac
done <<LIST
$words
LIST

# getopt takes the first of two equal options: none may be hidden by a global one.
globals=$(echo "$words" | sed -nE 's/^(option|letter) - //p')
echo "$words" | sed -nE '/ - -/d; s/^(option|letter) (.*) (-[^ ]*)$/\2 \3/p' >"${TMPDIR:-/tmp}/words.$$"
while read -r line; do
	case " $(echo $globals) " in *" ${line##* } "*) fail "$line hides the global option" ;; esac
done <"${TMPDIR:-/tmp}/words.$$"
twice=$(sort "${TMPDIR:-/tmp}/words.$$" | uniq -d)
rm -f "${TMPDIR:-/tmp}/words.$$"
[ -z "$twice" ] || fail "options are there twice: $twice"

# The other programs name their options in their help.
for program in mesh-join mesh-agentd; do
	opts=$("$builddir/$program" --help | grep -oE -e '--[a-z-]+' | sort -u)
	[ -n "$opts" ] || fail "$program --help names no options"
	for opt in $opts; do
		grep -qE "^\.It Fl.* ?-${opt#--}( |\$)" "$srcdir/man/$program.8" ||
			fail "man/$program.8: no option $opt"
	done
done
# Exit codes of mesh-join that its help lists are in its page.
for code in $("$builddir/mesh-join" --help | sed -n '/^Exit status/,$s/^ *\([0-9][0-9]*\) .*/\1/p'); do
	grep -qx "\.It $code" "$srcdir/man/mesh-join.8" || fail "man/mesh-join.8: no exit status $code"
done

for shell in bash zsh; do
	file=$srcdir/packaging/completion/meshctl.$shell
	"$builddir/meshctl" completion $shell | cmp -s - "$file" ||
		fail "$file is old; make it anew: meshctl completion $shell >packaging/completion/meshctl.$shell"
done
if command -v bash >/dev/null; then
	got=$(bash -c '. "$1"; COMP_WORDS=(meshctl -o json ident ""); COMP_WORDS[3]=identity; COMP_CWORD=4; _meshctl
		echo "${COMPREPLY[*]}"' - "$srcdir/packaging/completion/meshctl.bash")
	case $got in "list get "*) ;; *) fail "bash completion of identity: $got" ;; esac
	got=$(bash -c '. "$1"; COMP_WORDS=(meshctl monitor --pe); COMP_CWORD=2; _meshctl; echo "${COMPREPLY[*]}"' - \
		"$srcdir/packaging/completion/meshctl.bash")
	[ "$got" = --peer ] || fail "bash completion of --pe: $got"
fi

exit $bad
