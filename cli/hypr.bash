# SPDX-License-Identifier: GPL-2.0-only
#
# Completion of hypr(1) for bash: commands, options, running VMs, their views.

_hypr_vms()
{
	hypr ps 2>/dev/null | sed -n '2,$s/ .*//p'
}

_hypr_views()
{
	hypr views "$1" 2>/dev/null | sed -n '3,$s/ .*//p'
}

_hypr_options()
{
	hypr help "$@" 2>/dev/null | sed -n 's/^  [- ][^ ]* *\(--[a-z-]*\).*/\1/p'
}

# The words after the command that are no options.
_hypr_arguments()
{
	local i

	for ((i = 2; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == -* ]] || printf '%s\n' "${COMP_WORDS[i]}"
	done
}

# The views of the VM that --vm names.
_hypr_vmo_views()
{
	local i

	for ((i = 3; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i - 1]} != --vm ]] || _hypr_views "${COMP_WORDS[i]}"
	done
}

# After "hypr vmo": its commands, then files.
_hypr_vmo()
{
	local cur=$1 prev=$2

	if ((COMP_CWORD == 2)); then
		mapfile -t COMPREPLY < <(compgen -W \
			"info verify diff flatten pack unpack keygen sign export" -- "$cur")
	elif [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W \
			"$(_hypr_options vmo "${COMP_WORDS[2]}")" -- "$cur")
	elif [[ $prev == --vm ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_hypr_vms)" -- "$cur")
	elif [[ $prev == --view || $prev == -v ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_hypr_vmo_views)" -- "$cur")
	elif [[ $prev != --level && $prev != -l && $prev != --cr3 && $prev != --vcpu ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	fi
}

_hypr()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local verb=${COMP_WORDS[1]} words=
	local -a given

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		words="run resurrect ps pause resume snapshot load working-set views swap reset verify remove stop translate mem call doctor vmo version help"
	elif [[ $verb == vmo ]]; then
		_hypr_vmo "$cur" "$prev"
		return
	elif [[ $cur == -* ]]; then
		words=$(_hypr_options "$verb")
	elif [[ $verb == run || $verb == resurrect ]]; then
		case $verb,$prev in
		*,--engine | *,-e) words="ept-swap stock hyprv" ;;
		resurrect,--time | resurrect,-t) words="freeze continue" ;;
		resurrect,--prefault) words="all none used record" ;;
		*,--kernel | *,-k | *,--initrd | *,-i | *,--log | *,-l | resurrect,*)
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
			return
			;;
		esac
	elif [[ $verb == call ]]; then
		case $prev in
		--engine | -e) words="stock ept-swap hyprv" ;;
		--arg | -a | --timeout | -t | --repeat | -r | --heap | --stack | --max) return ;;
		*)
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
			return
			;;
		esac
	elif [[ $verb == doctor && ($prev == --engine || $prev == -e) ]]; then
		words="ept-swap stock hyprv"
	elif [[ $verb == load && ($prev == --time || $prev == -t) ]]; then
		words="freeze continue"
	elif [[ ($verb == reset || $verb == swap) && ($prev == --way || $prev == -w) ]]; then
		words="auto copy-back compare drop spare"
	elif [[ $verb == load && $prev == --prefault ]]; then
		words="all none used record"
	elif [[ ($verb == translate || $verb == mem) && ($prev == --view || $prev == -v) ]]; then
		mapfile -t given < <(_hypr_arguments)
		words=$(_hypr_views "${given[0]}")
	elif [[ $prev == --cr3 || $prev == --vcpu ]]; then
		return
	elif [[ $verb == mem && ($prev == --map || $prev == -m) ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
	elif [[ $prev == --output || $prev == -o || $prev == --parent || $prev == -p ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
	else
		mapfile -t given < <(_hypr_arguments)
		case $verb,${#given[@]} in
		pause,0 | resume,0 | views,0 | stop,0 | snapshot,0 | working-set,0) words=$(_hypr_vms) ;;
		load,1)
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
			return
			;;
		translate,0 | mem,[01])
			mapfile -t COMPREPLY < <(compgen -W "$(_hypr_vms)" -- "$cur"
				compgen -f -- "$cur")
			return
			;;
		load,0 | swap,0 | reset,0 | verify,0 | remove,0) words=$(_hypr_vms) ;;
		swap,1 | reset,1 | verify,1 | remove,1 | working-set,1) words=$(_hypr_views "${given[0]}") ;;
		help,0) words="run resurrect ps pause resume snapshot load working-set views swap reset verify remove stop translate mem call doctor vmo" ;;
		help,1)
			[[ ${given[0]} != vmo ]] ||
				words="info verify diff flatten pack unpack keygen sign export"
			;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _hypr hypr
