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
for opt in $("$builddir/mesh-join" --help | grep -oE -e ' --[a-z-]+' | sort -u); do
	for shell in bash zsh; do
		grep -qE -e "(^|[^a-z-])${opt# }([^a-z-]|\$)" "$srcdir/packaging/completion/mesh-join.$shell" || fail "completion of mesh-join for $shell: no $opt"
	done
done
# complete WORDS...: what bash offers for the last one
complete_bash() {
	bash -c 'compopt() { :; }; . "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); $(complete -p "$1" | sed "s/.*-F \([^ ]*\).*/\1/") "$1" "${@: -1}"
		printf "%s " "${COMPREPLY[@]}"' "$srcdir/packaging/completion/$1.bash" "$@"
}
offers() { # WHAT WORDS...
	want=$1
	shift
	got=$(complete_bash "$@")
	[ "${got% }" = "$want" ] || fail "bash completion of \"$*\": $got, not $want"
}
if command -v bash >/dev/null; then
	offers "list get" meshctl -o json identity ""
	offers "--peer" meshctl monitor --pe
	offers "status pause resume abort" meshctl migrate ""
	offers "pods host" meshctl migrate council --to ""
	offers "turns" meshctl migrate council --to pods --by t
	offers "table json" meshctl status -o ""
	offers "ingress egress" meshctl policy why --direction ""
	offers "" meshctl host add -n ""
	offers "" meshctl host remove ""
	offers "list get" meshctl help identity ""
	offers "bash zsh words" meshctl completion ""
	offers "--kubeconfig" meshctl host list --kube
	offers "$srcdir/packaging/completion/meshctl.bash" meshctl config check "$srcdir/packaging/completion/meshctl.b"
	offers "$srcdir/packaging/completion/meshctl.bash" meshctl host list --kubeconfig "$srcdir/packaging/completion/meshctl.b"
	offers "$srcdir/packaging/completion/meshctl.bash" meshctl policy verdict -f "$srcdir/packaging/completion/meshctl.b"
	case $(complete_bash meshctl "") in *--*) fail "options are offered before one has typed -" ;; "status "*) ;; *) fail "no nouns" ;; esac
	offers "--token --token-file" mesh-join --tok
	offers "table json" mesh-join -o ""
fi
if command -v zsh >/dev/null; then
	for file in meshctl mesh-join; do zsh -n "$srcdir/packaging/completion/$file.zsh" || fail "zsh does not read $file.zsh"; done
fi

exit $bad
