#compdef mesh-join
# zsh completion of mesh-join

_arguments \
	'(-t --token)'{-t,--token}'[what meshctl host add printed]:token:' \
	'(-f --token-file)'{-f,--token-file}'[read the token from a file]:file:_files' \
	'(-l --labels)'{-l,--labels}'[the labels that you expect]:labels:' \
	'(-n --name)'{-n,--name}'[the host name that you expect]:name:' \
	'(-a --address)'{-a,--address}'[check that this machine has it and may use it]:address:' \
	'--confirm[enforce nothing after that time, unless confirmed]:time:' \
	'--dry-run[check everything, change nothing]' \
	'--no-start[do not enable and start the service]' \
	'--config[configuration file]:file:_files' \
	'--state-dir[state directory]:directory:_directories' \
	'(-o --output)'{-o,--output}'[format]:format:(table json)' \
	'(-h --help)'{-h,--help}'[explain the options]' \
	'(-V --version)'{-V,--version}'[print the version]'
