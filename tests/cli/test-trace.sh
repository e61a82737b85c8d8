#!/bin/bash
# SPDX-License-Identifier: MIT
# `posthorn trace`: a log's events as a timeline and as JSON; a run with the trace on.
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/tap.sh"

cd "$work" || exit 1
cat >log <<'END'
posthorn: starting 1 VMs
@trace-begin khz=1000 pcpus=2
@trace pcpu=0 tsc=3e8 0,enter,0,0,0 a,exit,0,0,c 5,block,0,0,0
@trace pcpu=1 tsc=3e9 0,post,0,0,41 1,notify,0,0,0 14,inject,0,1,141 0,window,0,1,3 0,enter,0,1,0
@trace pcpu=0 tsc=41a 0,enter,0,0,0
@trace-lost pcpu=1 7
@trace-vm 0 web
@trace-exit c hlt
END
says() { grep -qxE -- "$1" out || { sed 's/^/#   | /' out; false; }; }
order() { grep -nE "$1|$2" out | head -2 | tail -1 | grep -qE "$2"; }

run "$posthorn" trace --json=t.json log
check "a log is shown" [ "$status" = 0 ]
check "events are counted, and what was overwritten" says 'Trace: 9 events, 7 before them overwritten'
check "time in microseconds, since the first event" says ' +0\.000  web/0 enter'
check "an exit by its name" says ' +10\.000  web/0 exit hlt'
check "a pCPU has a column" says ' +1\.000 {32}web/0 post 0x41'
check "an injected interrupt" says ' +22\.000 {32}web/1 inject interrupt 0x41'
check "windows" says ' +22\.000 {32}web/1 window interrupt NMI'
check "pCPUs are merged by time" order 'post 0x41' 'exit hlt'
json() { grep -qF -- "$1" t.json || { sed 's/^/#   | /' t.json; false; }; }
check "JSON: the slice in the guest, on the vCPU's line" \
	json '{"ph":"X","name":"exit hlt","pid":1,"tid":0,"ts":0,"dur":10}'
check "JSON: the same, on the pCPU's line" json '{"ph":"X","name":"web/0","pid":0,"tid":0,"ts":0,"dur":10}'
check "JSON: the sleep until the next entry" \
	json '{"ph":"X","name":"asleep","pid":1,"tid":0,"ts":15,"dur":35}'
check "JSON: an instant" \
	json '{"ph":"i","name":"post 0x41","pid":1,"tid":0,"s":"t","ts":1,"args":{"pCPU":1}}'
check "JSON: names" json '{"ph":"M","name":"process_name","pid":1,"tid":0,"args":{"name":"web"}}'

run "$posthorn" trace --last 2 log
check "only the last events" says ' +50\.000  web/0 enter'
check "and no others" [ "$(grep -c web/ out)" = 2 ]
run "$posthorn" trace --last=0 --json t.json log
check "none at all" [ ! -s out ]

echo 'posthorn: nothing' >empty
expect "a log without a trace" 66 'holds no trace' "$posthorn" trace empty
expect "a missing log" 66 "cannot read 'nowhere'" "$posthorn" trace nowhere
sed 's/,exit,/,exit/' log >damaged
expect "a damaged log" 66 'damaged line' "$posthorn" trace damaged
sed 's/0,post,0,/0,post,99,/' log >damaged
expect "a VM that cannot be" 66 'damaged line' "$posthorn" trace damaged
expect "a JSON file that cannot be written" 74 'cannot write' "$posthorn" trace --json=/nowhere/x log
expect "a bad --last" 64 'must be a number' "$posthorn" trace --last=x log

make_multiboot guest
echo hypervisor >hypervisor
FAKE=trace run "$posthorn" trace --hypervisor hypervisor --emulator "$fake" --guest guest --no-tables
check "a run's trace is shown at its end, its status is the guest's" [ "$status" = 1 ]
check "with its events" says ' +10\.000  vm0/0 exit hlt'
FAKE=poweroff run "$posthorn" trace --hypervisor hypervisor --emulator "$fake" --guest guest
check "a Posthorn that traced nothing" [ "$status" = 0 ]
run "$posthorn" run --trace --dry-run --bundle b --hypervisor hypervisor --emulator "$fake" --guest guest
check "--trace is in the bundle's config" grep -aq 'trace=on' b
finish
