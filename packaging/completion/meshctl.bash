# bash completion of meshctl; made by: meshctl completion bash

_meshctl_words()
{
	local words=""
	case "$1" in
	"") words="status endpoint identity node policy service ipcache map dns monitor forward migrate drain leave bugreport config completion cluster host help" ;;
	"status") words="" ;;
	"endpoint") words="list" ;;
	"endpoint list") words=" -a --all" ;;
	"identity") words="list get" ;;
	"identity list") words="" ;;
	"identity get") words="" ;;
	"node") words="list" ;;
	"node list") words="" ;;
	"policy") words="confirm guard list shadow verdict why" ;;
	"policy confirm") words="" ;;
	"policy guard") words=" --confirm --off" ;;
	"policy list") words="" ;;
	"policy shadow") words="" ;;
	"policy verdict") words=" -f --objects --subject --peer --peer-ip --direction --protocol --port --icmp-type --option --named-port --fqdn" ;;
	"policy why") words=" --peer-ip -i --identity --direction --protocol --port --icmp-type" ;;
	"service") words="list" ;;
	"service list") words="" ;;
	"ipcache") words="list get" ;;
	"ipcache list") words="" ;;
	"ipcache get") words="" ;;
	"map") words="list" ;;
	"map list") words="" ;;
	"dns") words="status query learned" ;;
	"dns status") words="" ;;
	"dns query") words=" -t --type" ;;
	"dns learned") words="" ;;
	"monitor") words=" -d --drop -p --peer -i --identity --direction -n --count -j --json" ;;
	"forward") words="list callers" ;;
	"forward list") words="" ;;
	"forward callers") words="" ;;
	"migrate") words="status pause resume abort --to --step --interval --by --max-errors --max-latency-factor --dry-run --no-wait" ;;
	"migrate status") words="" ;;
	"migrate pause") words="" ;;
	"migrate resume") words="" ;;
	"migrate abort") words="" ;;
	"migrate "*) words=" --to --step --interval --by --max-errors --max-latency-factor --dry-run --no-wait" ;;
	"drain") words=" --unless-restart" ;;
	"leave") words=" -y --yes --force" ;;
	"bugreport") words=" -f --file" ;;
	"config") words="check show" ;;
	"config check") words="" ;;
	"config show") words="" ;;
	"completion") words="" ;;
	"cluster") words="check setup" ;;
	"cluster check") words=" --kubeconfig --context --cilium-namespace" ;;
	"cluster setup") words=" --kubeconfig --context --print --dry-run --cilium-namespace" ;;
	"host") words="add list remove" ;;
	"host add") words=" --kubeconfig --context -n --namespace -l --labels -a --address -s --serve --weigh --ttl --server --service-account --cilium-namespace --pin-only --dry-run" ;;
	"host list") words=" --kubeconfig --context" ;;
	"host remove") words=" --kubeconfig --context --dry-run" ;;
	esac
	printf '%s' "$words -o --output --no-headings --socket -c --config --timeout -h --help -V --version"
}

_meshctl()
{
	local path="" i n=0 word="${COMP_WORDS[COMP_CWORD]}"
	case "${COMP_WORDS[COMP_CWORD-1]}" in
	-o|--output) COMPREPLY=($(compgen -W 'table json' -- "$word")); return ;;
	-c|--config|--socket|-f|--file) COMPREPLY=($(compgen -f -- "$word")); return ;;
	esac
	for ((i = 1; i < COMP_CWORD && n < 2; i++)); do
		case "${COMP_WORDS[i]}" in
		-o|--output|-c|--config|--socket|--timeout) i=$((i + 1)) ;;
		-*) ;;
		*) path="${path:+$path }${COMP_WORDS[i]}"; n=$((n + 1)) ;;
		esac
	done
	COMPREPLY=($(compgen -W "$(_meshctl_words "$path")" -- "$word"))
}
complete -o default -F _meshctl meshctl
