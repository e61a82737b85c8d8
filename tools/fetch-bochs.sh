#!/bin/bash
# SPDX-License-Identifier: MIT
# Get Debian 13's Bochs (3.0: posted interrupts) into the cache. Prints the folder that holds it.
# shellcheck source=tools/trixie.sh
. "$(dirname "$0")/trixie.sh"

unpack_trixie bochs-3.0 usr/bin/bochs-bin bochs bochsbios vgabios
# The program that is run is a copy without the faults that break guests.
"$(dirname "$0")/mend-bochs.sh" "$root/usr/bin/bochs-bin" "$root/usr/bin/bochs-mended"
echo "$root"
