#!/bin/bash
# SPDX-License-Identifier: MIT
# Stands in for QEMU in the tests of the `posthorn` command: plays the part that FAKE names on
# the two serial ports, then exits as QEMU with isa-debug-exit would.
for argument; do
	case $argument in
	socket,id=console,fd=*) console=${argument##*=} ;;
	socket,id=control,fd=*) control=${argument##*=} ;;
	esac
done

say() { echo "$*" >&"$control"; }
row='injected=12 notified=3 elided=1 woken=2 kicked=0 windows=4 migrations=0'

echo "posthorn-fake: FAKE=$FAKE pid=$$" >&"$console"
say "posthorn: fake log line"
case $FAKE in
poweroff)
	say "@table vm0 vcpu=0 delivery=injected inhibits=hardware posted_msi=0 posted_ipi=10 $row exit_hlt=5 exit_npf=0"
	say "@table vm0 vcpu=1 delivery=injected inhibits=hardware posted_msi=2 posted_ipi=20 $row exit_hlt=7 exit_npf=0"
	say "@vm vm0 stopped poweroff code=0"
	say "@end status=16"
	exit 33
	;;
debug-exit)
	say "@vm vm0 stopped debug-exit code=${CODE:-1}"
	say "@end status=16"
	exit 33
	;;
two-vms)
	say "@vm vm1 stopped debug-exit code=3"
	say "@vm vm0 stopped debug-exit code=1"
	say "@end status=16"
	exit 33
	;;
triple-fault)
	say "@vm vm0 stopped triple-fault code=1"
	say "@end status=17"
	exit 35
	;;
error)
	say "@vm vm0 stopped error:bad I/O at 0x12 code=1"
	say "@end status=17"
	exit 35
	;;
bench)
	printf 'bench cpuid 399\r\nbench vmcall 1001\r\nbench tscdeadline_immed - no TSC-deadline timer\r\nbench mov_to_cr8 7\r\n' >&"$console"
	say "@vm vm0 stopped debug-exit code=${CODE:-1}"
	say "@end status=16"
	exit 33
	;;
trace)
	say "@vm vm0 stopped debug-exit code=1"
	say "@trace-begin khz=1000 pcpus=1"
	say "@trace pcpu=0 tsc=3e8 0,enter,0,0,0 a,exit,0,0,c"
	say "@trace-vm 0 vm0"
	say "@trace-exit c hlt"
	say "@end status=16"
	exit 33
	;;
silent) exit 33 ;;
panic)
	say "posthorn: panic: everything is lost"
	exit 37
	;;
refused)
	say "posthorn: config line 2: unknown key 'colour'"
	exit 39
	;;
echo)
	# What the console receives goes back, until a line "end".
	while read -r line <&"$console"; do
		echo "got: $line" >&"$console"
		[ "$line" = end ] && break
	done
	say "@vm vm0 stopped poweroff code=0"
	say "@end status=16"
	exit 33
	;;
stoppable)
	# Answers the commands of the control channel.
	while read -r line <&"$control"; do
		case $line in
		tables) say "@table vm0 vcpu=0 delivery=injected inhibits=hardware posted_ipi=77 $row" ;;
		trace) say "@trace-begin khz=1000 pcpus=1"; echo "now traced" >&"$console" ;;
		focus*) say "posthorn: fake ${line}" ; echo "now ${line}" >&"$console" ;;
		stop)
			say "@table vm0 vcpu=0 delivery=injected inhibits=hardware posted_ipi=99 $row"
			say "@end status=16"
			exit 33
			;;
		esac
	done
	;;
hang) exec sleep 1000 ;;
die) exit 1 ;;
killed) kill -9 $$ ;;
esac
echo "fake-emulator: no part '$FAKE'" >&2
exit 99
