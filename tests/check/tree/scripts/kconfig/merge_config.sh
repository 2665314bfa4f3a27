#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# merge_config.sh -m -O OUT OUT/.config FRAGMENT...: the last word on each option.
out=$3
shift 3
cat "$@" | tac | awk '
	/^CONFIG_[A-Z0-9_]+=/ { name = $0; sub(/=.*/, "", name); if (!seen[name]++) print }
	/^# CONFIG_[A-Z0-9_]+ is not set/ { if (!seen[$2]++) print }
' >"$out/.config.new"
mv "$out/.config.new" "$out/.config"
