# bash completion of meshctl; made by: meshctl completion bash

_meshctl_words()
{
	local words=""
	case "$1" in
	""|help) words=" status endpoint identity node policy service ipcache map dns monitor forward migrate drain leave bugreport config completion cluster host help" ;;
	"status") words="" ;;
	"endpoint") words=" list" ;;
	"help endpoint") words=" list" ;;
	"endpoint list") words="" ;;
	"identity") words=" list get" ;;
	"help identity") words=" list get" ;;
	"identity list") words="" ;;
	"identity get") words="" ;;
	"node") words=" list" ;;
	"help node") words=" list" ;;
	"node list") words="" ;;
	"policy") words=" confirm guard list shadow verdict why" ;;
	"help policy") words=" confirm guard list shadow verdict why" ;;
	"policy confirm") words="" ;;
	"policy guard") words="" ;;
	"policy list") words="" ;;
	"policy shadow") words="" ;;
	"policy verdict") words="" ;;
	"policy why") words="" ;;
	"service") words=" list" ;;
	"help service") words=" list" ;;
	"service list") words="" ;;
	"ipcache") words=" list get" ;;
	"help ipcache") words=" list get" ;;
	"ipcache list") words="" ;;
	"ipcache get") words="" ;;
	"map") words=" list" ;;
	"help map") words=" list" ;;
	"map list") words="" ;;
	"dns") words=" status query learned" ;;
	"help dns") words=" status query learned" ;;
	"dns status") words="" ;;
	"dns query") words="" ;;
	"dns learned") words="" ;;
	"monitor") words="" ;;
	"forward") words=" list callers" ;;
	"help forward") words=" list callers" ;;
	"forward list") words="" ;;
	"forward callers") words="" ;;
	"migrate") words=" status pause resume abort" ;;
	"help migrate") words=" status pause resume abort" ;;
	"migrate status") words="" ;;
	"migrate pause") words="" ;;
	"migrate resume") words="" ;;
	"migrate abort") words="" ;;
	"migrate "*) words="" ;;
	"drain") words="" ;;
	"leave") words="" ;;
	"bugreport") words="" ;;
	"config") words=" check show" ;;
	"help config") words=" check show" ;;
	"config check") words="FILE" ;;
	"config show") words="FILE" ;;
	"completion") words="bash zsh words" ;;
	"cluster") words=" check setup" ;;
	"help cluster") words=" check setup" ;;
	"cluster check") words="" ;;
	"cluster setup") words="" ;;
	"host") words=" add list remove" ;;
	"help host") words=" add list remove" ;;
	"host add") words="" ;;
	"host list") words="" ;;
	"host remove") words="" ;;
	esac
	printf '%s' "$words"
}

_meshctl_options()
{
	local words=""
	case "$1" in
	"status") words="" ;;
	"endpoint") words="" ;;
	"endpoint list") words=" -a --all" ;;
	"identity") words="" ;;
	"identity list") words="" ;;
	"identity get") words="" ;;
	"node") words="" ;;
	"node list") words="" ;;
	"policy") words="" ;;
	"policy confirm") words="" ;;
	"policy guard") words=" --confirm --off" ;;
	"policy list") words="" ;;
	"policy shadow") words="" ;;
	"policy verdict") words=" -f --objects --subject --peer --peer-ip --direction --protocol --port --icmp-type --option --named-port --fqdn" ;;
	"policy why") words=" --peer-ip -i --identity --direction --protocol --port --icmp-type" ;;
	"service") words="" ;;
	"service list") words="" ;;
	"ipcache") words="" ;;
	"ipcache list") words="" ;;
	"ipcache get") words="" ;;
	"map") words="" ;;
	"map list") words="" ;;
	"dns") words="" ;;
	"dns status") words="" ;;
	"dns query") words=" -t --type" ;;
	"dns learned") words="" ;;
	"monitor") words=" -d --drop -p --peer -i --identity --direction -n --count -j --json" ;;
	"forward") words="" ;;
	"forward list") words="" ;;
	"forward callers") words="" ;;
	"migrate") words=" --to --step --interval --by --max-errors --max-latency-factor --dry-run --no-wait" ;;
	"migrate status") words="" ;;
	"migrate pause") words="" ;;
	"migrate resume") words="" ;;
	"migrate abort") words="" ;;
	"migrate "*) words=" --to --step --interval --by --max-errors --max-latency-factor --dry-run --no-wait" ;;
	"drain") words=" --unless-restart" ;;
	"leave") words=" -y --yes --force" ;;
	"bugreport") words=" -f --file" ;;
	"config") words="" ;;
	"config check") words="" ;;
	"config show") words="" ;;
	"completion") words="" ;;
	"cluster") words="" ;;
	"cluster check") words=" --kubeconfig --context --cilium-namespace" ;;
	"cluster setup") words=" --kubeconfig --context --print --dry-run --cilium-namespace" ;;
	"host") words="" ;;
	"host add") words=" --kubeconfig --context -n --namespace -l --labels -a --address -s --serve --weigh --zone --ttl --server --service-account --cilium-namespace --pin-only --dry-run" ;;
	"host list") words=" --kubeconfig --context" ;;
	"host remove") words=" --kubeconfig --context --dry-run" ;;
	esac
	printf '%s' "$words -o --output --no-headings --socket -c --config --timeout -h --help -V --version"
}

_meshctl_args()
{
	local words=""
	case "$1" in
	"status") words="" ;;
	"endpoint") words="" ;;
	"endpoint list") words="" ;;
	"identity") words="" ;;
	"identity list") words="" ;;
	"identity get") words="" ;;
	"node") words="" ;;
	"node list") words="" ;;
	"policy") words="" ;;
	"policy confirm") words="" ;;
	"policy guard") words=" --confirm" ;;
	"policy list") words="" ;;
	"policy shadow") words="" ;;
	"policy verdict") words=" -f --objects --subject --peer --peer-ip --direction --protocol --port --icmp-type --option --named-port --fqdn" ;;
	"policy why") words=" --peer-ip -i --identity --direction --protocol --port --icmp-type" ;;
	"service") words="" ;;
	"service list") words="" ;;
	"ipcache") words="" ;;
	"ipcache list") words="" ;;
	"ipcache get") words="" ;;
	"map") words="" ;;
	"map list") words="" ;;
	"dns") words="" ;;
	"dns status") words="" ;;
	"dns query") words=" -t --type" ;;
	"dns learned") words="" ;;
	"monitor") words=" -p --peer -i --identity --direction -n --count" ;;
	"forward") words="" ;;
	"forward list") words="" ;;
	"forward callers") words="" ;;
	"migrate") words=" --to --step --interval --by --max-errors --max-latency-factor" ;;
	"migrate status") words="" ;;
	"migrate pause") words="" ;;
	"migrate resume") words="" ;;
	"migrate abort") words="" ;;
	"migrate "*) words=" --to --step --interval --by --max-errors --max-latency-factor" ;;
	"drain") words="" ;;
	"leave") words="" ;;
	"bugreport") words=" -f --file" ;;
	"config") words="" ;;
	"config check") words="" ;;
	"config show") words="" ;;
	"completion") words="" ;;
	"cluster") words="" ;;
	"cluster check") words=" --kubeconfig --context --cilium-namespace" ;;
	"cluster setup") words=" --kubeconfig --context --cilium-namespace" ;;
	"host") words="" ;;
	"host add") words=" --kubeconfig --context -n --namespace -l --labels -a --address -s --serve --weigh --zone --ttl --server --service-account --cilium-namespace" ;;
	"host list") words=" --kubeconfig --context" ;;
	"host remove") words=" --kubeconfig --context" ;;
	esac
	printf '%s' "$words -o --output --socket -c --config --timeout"
}

_meshctl_values()
{
	case "$1:$2" in
	*:--output|*:-o) printf '%s' "table json" ;;
	*:--socket) printf '%s' "FILE" ;;
	*:--config|*:-c) printf '%s' "FILE" ;;
	"policy verdict"*:--objects|"policy verdict"*:-f) printf '%s' "FILE" ;;
	"policy verdict"*:--direction) printf '%s' "ingress egress" ;;
	"policy verdict"*:--protocol) printf '%s' "tcp udp sctp icmp icmpv6" ;;
	"policy why"*:--direction) printf '%s' "ingress egress" ;;
	"policy why"*:--protocol) printf '%s' "tcp udp sctp icmp icmpv6" ;;
	"monitor"*:--direction) printf '%s' "ingress egress" ;;
	"migrate"*:--to) printf '%s' "pods host" ;;
	"migrate"*:--by) printf '%s' "turns weights" ;;
	"bugreport"*:--file|"bugreport"*:-f) printf '%s' "FILE" ;;
	"cluster check"*:--kubeconfig) printf '%s' "FILE" ;;
	"cluster setup"*:--kubeconfig) printf '%s' "FILE" ;;
	"host add"*:--kubeconfig) printf '%s' "FILE" ;;
	"host add"*:--weigh) printf '%s' "yes no" ;;
	"host list"*:--kubeconfig) printf '%s' "FILE" ;;
	"host remove"*:--kubeconfig) printf '%s' "FILE" ;;
	esac
}

_meshctl()
{
	local path="" i n=0 list word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"
	for ((i = 1; i < COMP_CWORD && n < 2; i++)); do
		case "${COMP_WORDS[i]}" in
		-*) case " $(_meshctl_args "$path") " in *" ${COMP_WORDS[i]} "*) i=$((i + 1)) ;; esac ;;
		*) path="${path:+$path }${COMP_WORDS[i]}"; n=$((n + 1)) ;;
		esac
	done
	case " $(_meshctl_args "$path") " in
	*" $before "*) list=$(_meshctl_values "$path" "$before") ;;
	*) case "$word" in -*) list=$(_meshctl_options "$path") ;; *) list=$(_meshctl_words "$path") ;; esac ;;
	esac
	if [ "$list" = FILE ]; then
		compopt -o filenames 2>/dev/null
		COMPREPLY=($(compgen -f -- "$word"))
	else
		COMPREPLY=($(compgen -W "$list" -- "$word"))
	fi
}
complete -F _meshctl meshctl
