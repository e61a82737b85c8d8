#!/bin/bash
# SPDX-License-Identifier: MIT
# The checks of the source tree find what they are there to find: each seeded offence must turn
# exactly its own rule red.
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/tap.sh"

make_tree() {
	rm -rf "$work/tree"
	mkdir -p "$work"/tree/{core,model,hypervisor,lab,x86,guests,cli,include/posthorn}
	cat >"$work/tree/core/post.c" <<-'END'
		/* SPDX-License-Identifier: MIT */
		#include "core/vcpu.h"
		#include <stdint.h>
		/* IN_GUEST may be spoken of: shared32_store(&vcpu->shared.mode, MODE_IN_GUEST) */
		void post(struct vcpu *vcpu)
		{
			shared32_cmpxchg(&vcpu->shared.mode, mode, mode ^ MODE_IN_GUEST ^
			    MODE_EXITING, SITE);
		}
	END
	cat >"$work/tree/core/enter.c" <<-'END'
		/* SPDX-License-Identifier: MIT */
		void enter(struct vcpu *vcpu)
		{
			shared32_publish(&vcpu->shared.mode, MODE_IN_GUEST, SITE);
		}
	END
	printf '/* SPDX-License-Identifier: MIT */\n#include <stdint.h>\n' >"$work/tree/include/posthorn/a.h"
}

# offence NAME RULE FILE TEXT: FILE gets TEXT at its end; RULE, and it alone, must fail.
offence() {
	make_tree
	[ -e "$work/tree/$3" ] || echo '/* SPDX-License-Identifier: MIT */' >"$work/tree/$3"
	printf '%b\n' "$4" >>"$work/tree/$3"
	run "$root/tools/check-borders.sh" "$work/tree"
	check "$1" only_rule_fails "$2"
}

only_rule_fails() {
	[ "$status" = 1 ] && [ "$(grep -c '^not ok' "$work/out")" = 1 ] &&
		grep -q "^not ok [0-9]* - $1" "$work/out" && return 0
	sed 's/^/#   | /' "$work/out"
	return 1
}

make_tree
run "$root/tools/check-borders.sh" "$work/tree"
check "a clean tree passes" [ "$status" = 0 ]
offence "core includes hypervisor" "core includes only" core/post.c '#include "hypervisor/vm/vm.h"'
offence "core includes libc" "core, x86 and include need no libc" core/post.c '#include <stdio.h>'
offence "x86 includes core" "x86 includes only" x86/bad.c '#include "core/vcpu.h"'
offence "model includes core" "model never includes core" model/bus.c '#include "core/vcpu.h"'
offence "model includes core, with blanks" "model never includes core" model/bus.c '  #  include  "core/vcpu.h"'
offence "hypervisor reaches into core" "hypervisor sees core" hypervisor/run.c '#include "core/vcpu.h"'
offence "lab reaches into core" "lab sees core" lab/run.c '#include "core/vcpu.h"'
offence "guests include hypervisor" "guests include only" guests/a.c '#include "hypervisor/vm/vm.h"'
offence "cli includes hypervisor" "cli includes only" cli/a.c '#include "hypervisor/vm/vm.h"'
offence "an atomic in core" "only core/shared.h touches" core/lapic.c 'int x = __atomic_load_n(&y, 0);'
offence "volatile in core" "only core/shared.h touches" core/lapic.c 'volatile int x;'
offence "a shared field written by hand" "only core/shared.h touches" core/lapic.c 'vcpu->shared.requests = 1;'
offence "IN_GUEST stored elsewhere" "only core/enter.c writes" core/lapic.c \
	'shared32_store(&vcpu->shared.mode,\n    MODE_IN_GUEST, SITE);'
offence "IN_GUEST exchanged in elsewhere" "only core/enter.c writes" core/lapic.c \
	'shared32_cmpxchg(word, mode, mode | MODE_IN_GUEST, SITE);'
offence "the mode word stored elsewhere" "only core/enter.c writes" core/lapic.c \
	'shared32_store(&vcpu->shared.mode, new_mode, SITE);'
offence "a header that does not stand alone" "headers of include/ and x86/" x86/bad.h 'uint64_t x;'
offence "a public header that is not C++" "public headers compile alone in C++" include/posthorn/b.h \
	'static inline int ph_f(int class) { return class; }'
make_tree
echo "int a;" >"$work/tree/guests/b.c"
run "$root/tools/check-borders.sh" "$work/tree"
check "a source without licence" only_rule_fails "every source names"

make_tree
{
	echo 'int f(void)'
	echo '{'
	yes '	g();' | head -n 78
	echo '}'
} >>"$work/tree/core/post.c"
run "$root/tools/check-functions.sh" "$work/tree"
check "a function of 80 lines passes" [ "$status" = 0 ]
sed -i '$i\	g();' "$work/tree/core/post.c"
run "$root/tools/check-functions.sh" "$work/tree"
check "a function of 81 lines fails" [ "$status" != 0 ]
check "and is named" grep -q ': f has 81 lines' "$work/out"
# fences COMMENT: does the check take this comment above a fence?
fences() {
	rm -rf "$work/tree"
	mkdir -p "$work"/tree/core "$work"/tree/lab/{scenarios,selfcheck,mutants}
	printf 'X(%s, PUBLISH, "a") \\\nX(OTHER_SITE, RMW, "b")\n' A_SITE >"$work/tree/core/sites.h"
	printf '%s\n' "$1" 'shared32_publish(p, 1, A_SITE);' >"$work/tree/core/a.c"
	echo '.name = "post-it",' | tee "$work"/tree/lab/{scenarios,selfcheck,mutants}/a.c >/dev/null
	run "$root/tools/check-fences.sh" "$work/tree"
}

fences '/* Pairs with OTHER_SITE; lab: post-it. */'
check "a fence with its pair and proof passes" [ "$status" = 0 ]
for comment in '/* It is needed. */' '/* Pairs with OTHER_SITE. */' \
	'/* Pairs with NO_SITE; lab: post-it. */' '/* Pairs with OTHER_SITE; lab: post-that. */' \
	'/* Pairs with OTHER_SITE; lab: yes. */'; do
	fences "$comment"
	check "a fence that says only $comment fails" [ "$status" != 0 ]
done
finish
