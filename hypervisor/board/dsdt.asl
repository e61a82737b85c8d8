/* SPDX-License-Identifier: MIT */
/* The guest's fixed devices and its only sleep state; processors are in the SSDT of acpi.c. */
DefinitionBlock ("", "DSDT", 2, "PSTHRN", "POSTHORN", 1)
{
	/* PM_SLP_TYP_S5 of devices.h: written with SLP_EN, it powers the VM off. */
	Name (\_S5, Package () { 5, 5, 0, 0 })

	Scope (\_SB)
	{
		Device (PIC)
		{
			Name (_HID, EisaId ("PNP0000"))
			Name (_CRS, ResourceTemplate () {
				IO (Decode16, 0x20, 0x20, 0, 2)
				IO (Decode16, 0xA0, 0xA0, 0, 2)
				IO (Decode16, 0x4D0, 0x4D0, 0, 2)
				IRQNoFlags () { 2 }
			})
		}

		Device (TIMR)
		{
			Name (_HID, EisaId ("PNP0100"))
			Name (_CRS, ResourceTemplate () {
				IO (Decode16, 0x40, 0x40, 0, 4)
				IRQNoFlags () { 0 }
			})
		}

		Device (RTC)
		{
			Name (_HID, EisaId ("PNP0B00"))
			Name (_CRS, ResourceTemplate () {
				IO (Decode16, 0x70, 0x70, 0, 2)
				IRQNoFlags () { 8 }
			})
		}

		Device (SPKR)
		{
			Name (_HID, EisaId ("PNP0800"))
			Name (_CRS, ResourceTemplate () {
				IO (Decode16, 0x61, 0x61, 0, 1)
			})
		}

		Device (COM1)
		{
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, 1)
			Name (_STA, 0x0F)
			Name (_CRS, ResourceTemplate () {
				IO (Decode16, 0x3F8, 0x3F8, 0, 8)
				IRQNoFlags () { 4 }
			})
		}
	}
}
