# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Completion of the verbs in scripts/, for bash.  To be read in by you:
#
#   . ~/avic/scripts/completion.bash
#
# A verb's --help says which options it has; its words are bases and slugs.

_avic() {
	local verb=$1 word=$2 top
	top=$(dirname "$(dirname "$(realpath "$(type -P "$verb" || echo "$verb")")")")
	[[ -d $top/patches ]] || return 0
	if [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(
			"$verb" --help 2>/dev/null |
				sed --quiet --regexp-extended 's/^ +(--[a-z-]+|[A-Z_]+=).*/\1/p' |
				sed --regexp-extended '/=$/ { s/^/--/; s/=$//; y/ABCDEFGHIJKLMNOPQRSTUVWXYZ_/abcdefghijklmnopqrstuvwxyz-/ }' |
				sort --unique | grep -- "^$word"
		)
		return 0
	fi
	mapfile -t COMPREPLY < <(
		{
			(cd "$top/patches" && printf '%s\n' */ | sed 's,/$,,')
			sed --quiet --regexp-extended 's/^[0-9]{4}-(.*)\.patch.*/\1/p' "$top"/patches/*/series
		} | sort --unique | grep -- "^$word"
	)
}

# Each verb of this folder, by its name and by its path.
_avic_verbs() {
	local verb here
	here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
	for verb in "$here"/*; do
		[[ ! -f $verb || ! -x $verb ]] || complete -o default -F _avic "${verb##*/}" "scripts/${verb##*/}"
	done
	unset -f _avic_verbs
}
_avic_verbs
