# bash completion of mesh-join

_mesh_join()
{
	local word="${COMP_WORDS[COMP_CWORD]}"
	case "${COMP_WORDS[COMP_CWORD-1]}" in
	-f|--token-file|--config|--state-dir) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$word")); return ;;
	-o|--output) COMPREPLY=($(compgen -W "table json" -- "$word")); return ;;
	-t|--token|-l|--labels|-n|--name|-a|--address|--confirm) return ;;
	esac
	COMPREPLY=($(compgen -W "-t --token -f --token-file -l --labels -n --name -a --address --confirm --dry-run --no-start --config
		--state-dir -o --output -h --help -V --version" -- "$word"))
}
complete -F _mesh_join mesh-join
