#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Every file that a person wrote and that can hold a comment names its licence
# in one of its first two lines.
cd "$CLEAT_SRCDIR" || exit 1

echo 1..1
bad=$(find core include plugins client tools tests m4 etc \
	Makefile.am configure.ac check quickstart \
	\( -name '*.[ch]' -o -name '*.py' -o -name '*.sh' -o -name '*.inc' \
	-o -name 'ct_*.m4' -o -name configure.ac -o -name Makefile.am \
	-o -name check -o -name quickstart -o -name run-test \) -type f |
	while read -r f; do
		head -n 2 "$f" |
			grep -q 'SPDX-License-Identifier: Apache-2.0' ||
			echo "$f"
	done)
if [ -z "$bad" ]; then
	echo 'ok 1 - every source file names its licence'
else
	echo "$bad" | sed 's/^/# /'
	echo 'not ok 1 - every source file names its licence'
fi
