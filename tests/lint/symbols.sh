#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What the built files show to the dynamic linker: a program nothing of its
# own, a plugin exactly `cleat_plugin`, the client library what its list says.
# A program may hold copies of the C
# library's variables (stdout@GLIBC...), which its users do not call ours.
cd "$CLEAT_BUILDDIR" || exit 1
n=0

# exported FILE: the names it defines, without copies of versioned ones.
exported() {
	nm -D --defined-only "$1" | awk '{ print $NF }' | grep -v '@' |
		sort | tr '\n' ' '
}

# report NAME GOT WANTED
report() {
	n=$((n + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $n - $1"
	else
		echo "# exported: $2"
		echo "not ok $n - $1"
	fi
}

# Self-test: a module and a program that show too much.
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
echo 'int cleat_plugin, more; int main(void) { return 0; }' >"$tmp/x.c"
${CC:-cc} -shared -fPIC -o "$tmp/x.so" "$tmp/x.c" &&
	${CC:-cc} -rdynamic -o "$tmp/x" "$tmp/x.c" || exit 1
n=$((n + 1))
case $(exported "$tmp/x.so") in
*more*) echo "ok $n - self-test: a second symbol of a module is seen" ;;
*) echo "not ok $n - self-test: a second symbol of a module is seen" ;;
esac
n=$((n + 1))
case $(exported "$tmp/x") in
*more*) echo "ok $n - self-test: a symbol of a program is seen" ;;
*) echo "not ok $n - self-test: a symbol of a program is seen" ;;
esac

for p in $CLEAT_PROGRAMS; do
	if [ "$CLEAT_SANITIZER" != no ]; then
		n=$((n + 1))
		echo "ok $n - $p # SKIP a sanitizer exports its own symbols"
		continue
	fi
	report "$p exports nothing" "$(exported "$p")" ''
done
for la in $CLEAT_PLUGINS; do
	so=$(dirname "$la")/.libs/$(basename "$la" .la).so
	report "$so exports cleat_plugin alone" "$(exported "$so")" \
		'cleat_plugin '
done
# The linker took the list; the header must not declare more or less.
list=$(sort <"$CLEAT_SRCDIR/client/libcleat-client.symbols" | tr '\n' ' ')
report 'libcleat-client exports what its list says' \
	"$(exported .libs/libcleat-client.so)" "$list"
report 'and cleat-client.h declares exactly that' \
	"$(sed -n '/^CLEAT_CLIENT_API/,/;/p' \
	"$CLEAT_SRCDIR/client/cleat-client.h" |
	grep -o 'cleat_client_[a-z_]*(' | tr -d '(' | sort | tr '\n' ' ')" \
	"$list"
echo "1..$n"
